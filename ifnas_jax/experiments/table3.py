"""Table 3: each node keeps one input, whatever the cost."""

import functools

from ifnas_jax.experiments import paper, runs

_METHODS = ("random", "darts", "goldnas", "ifnas")


def settings(base):
    """Each method in each space; GOLD-NAS prunes until one edge a node is left."""
    fields = {"retrain__epochs": 100} if runs.is_paper(base) else {}
    return [
        runs.chain_setting(base, length, method, derive="keep1", **fields)
        for length in runs.CHAINS
        for method in _METHODS
    ]


def tables(results):
    """Ours, then the paper's."""
    title = "Table 3: one input a node"
    return [runs.table(title, results), paper.TABLE3]


figures = functools.partial(runs.figures, name="table3")
