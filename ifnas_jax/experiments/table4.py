"""Table 4: the 4-chain with and without IF sampling, and beside it the controls.

At the paper's scale each prunes to the target; at proxy scale the runs are those of
`claims`, whose gates the loss alone moves.
"""

import functools

from ifnas_jax.experiments import claims, paper, runs
from ifnas_jax.experiments.settings import Setting
from ifnas_jax.experiments.tables import Table

PAPER_SEEDS = 4

_SETTINGS = {
    "w/o IF": {"method": "dnas"},
    "w/ IF": {},
    "update-matched": {"sampling__groups": "matched"},
    "random groups": {"sampling__groups": "random"},
}


def settings(base) -> list[Setting]:
    """With and without, and two controls that the paper has not."""
    if not runs.is_paper(base):
        return [
            claims.searched(base, label, trained=("target",), **fields)
            for label, fields in _SETTINGS.items()
        ]
    return [
        Setting(label, base(retrain__epochs=100, **fields))
        for label, fields in _SETTINGS.items()
    ]


def tables(results) -> list[Table]:
    """Ours, then the paper's."""
    return [
        runs.table("Table 4: with and without IF, at the target", results),
        paper.TABLE4,
    ]


figures = functools.partial(runs.figures, name="table4")
