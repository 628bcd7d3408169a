"""The claims in a space of twice the depth, where random groups do interleave."""

import functools

from ifnas_jax.experiments import claims
from ifnas_jax.experiments.settings import Setting

# At proxy scale; the paper's space is larger than this.
_NODES, _TARGET = (12, 12, 12), 9_000_000


def settings(base) -> list[Setting]:
    """Those of `claims`."""
    if base.args[0] == "proxy":
        base = functools.partial(base, space__nodes=_NODES, target_madds=_TARGET)
    return claims.settings(base)


tables, figures = claims.tables, claims.figures
