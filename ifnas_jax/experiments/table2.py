"""Table 2: four methods in the L-chain spaces, at one budget of MAdds."""

import functools

from ifnas_jax.experiments import paper, runs

_METHODS = ("darts", "pcdarts", "goldnas", "ifnas")


def settings(base):
    """Each method in each space; the longest training of the paper."""
    return [
        runs.chain_setting(base, length, method)
        for length in runs.CHAINS
        for method in _METHODS
    ]


def tables(results):
    """Ours, then the paper's."""
    title = "Table 2: methods in L-chain spaces, at the target"
    return [runs.table(title, results), paper.TABLE2]


figures = functools.partial(runs.figures, name="table2")
