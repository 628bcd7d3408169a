"""The claims in a space of twice the depth, where random groups do interleave."""

import functools

from ifnas_jax.experiments import claims, runs
from ifnas_jax.experiments.settings import Setting

PAPER_SEEDS = claims.PAPER_SEEDS

# At proxy scale; those of the others are larger than this.
_NODES, _TARGET = (12, 12, 12), 9_000_000


def settings(base) -> list[Setting]:
    """Those of `claims`."""
    if runs.scale_of(base) == "proxy":
        base = functools.partial(base, space__nodes=_NODES, target_madds=_TARGET)
    return claims.settings(base)


tables = claims.tables
figures = functools.partial(claims.figures, name="larger")
