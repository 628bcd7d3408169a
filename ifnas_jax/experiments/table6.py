"""Table 6: IF-NAS in the spaces of cells, space_D of DARTS and space_G of GOLD-NAS.

The paper gives IF-NAS-G1 and -G2 by their parameters only; here they are runs at the
config's target and at 7/6 of it.
"""

import functools

from ifnas_jax.experiments import paper, runs
from ifnas_jax.experiments.settings import Setting

_LARGER = 7, 6


def settings(base) -> list[Setting]:
    """Those of the paper that are of methods which are here."""
    found = [
        runs.cells_setting(
            base, f"space_D, {runs.NAMES[method]}", "darts_space", method
        )
        for method in ("darts", "pcdarts", "ifnas")
    ]
    for method, name in (("goldnas", "GOLD-NAS-"), ("ifnas", "IF-NAS-G")):
        small = runs.cells_setting(base, "", "goldnas_space", method).config
        larger = small.target_madds * _LARGER[0] // _LARGER[1]
        names = ("I", "X") if method == "goldnas" else ("1", "2")
        for kind, target in zip(names, (small.target_madds, larger), strict=True):
            found.append(
                runs.cells_setting(
                    base,
                    f"space_G, {name}{kind}",
                    "goldnas_space",
                    method,
                    target_madds=target,
                )
            )
    return found


def tables(results):
    """Ours, then the paper's."""
    return [runs.table("Table 6: spaces of cells", results), paper.TABLE6]


figures = functools.partial(runs.figures, name="table6")
