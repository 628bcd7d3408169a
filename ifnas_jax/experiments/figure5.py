"""Figure 5: architectures that are found without IF sampling."""

import functools

from ifnas_jax.experiments import searched

PAPER_SEEDS = 3

TITLE = "Figure 5: found without IF"


def settings(base):
    """Those of Table 4 without IF."""
    return searched.settings(base, "w/o IF")


tables = functools.partial(searched.tables, title=TITLE)
figures = functools.partial(searched.architectures, name="figure5")
