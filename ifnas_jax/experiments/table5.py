"""Table 5: interleaved connections that are added on purpose.

As the paper has it: what is added belongs to the sub-super-network of its step, and its
gates move with the others. `claims` has the dose-response in which they don't.
"""

import functools

from ifnas_jax.experiments import claims, paper, runs
from ifnas_jax.experiments.settings import Setting
from ifnas_jax.experiments.tables import Table

PAPER_SEEDS = 4


def settings(base) -> list[Setting]:
    """0 to 3 of them for each node of a group."""
    found = []
    for count in range(4):
        fields = {"sampling__interleaved": count} if count else {}
        label = f"{count} interleaved"
        if not runs.is_paper(base):
            own = claims.searched(base, label, trained=("target",), **fields)
        else:
            own = Setting(label, base(of_paper="imagenet100", **fields))
        found.append(own)
    return found


def tables(results) -> list[Table]:
    """Ours, then the paper's."""
    return [
        runs.table("Table 5: interleaved connections added on purpose", results),
        paper.TABLE5,
    ]


figures = functools.partial(runs.figures, name="table5")
