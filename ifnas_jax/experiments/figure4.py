"""Figure 4: architectures that are found with IF sampling."""

import functools

from ifnas_jax.experiments import searched

PAPER_SEEDS = 3

TITLE = "Figure 4: found with IF"


def settings(base):
    """Those of Table 4 with IF."""
    return searched.settings(base, "w/ IF")


tables = functools.partial(searched.tables, title=TITLE)
figures = functools.partial(searched.architectures, name="figure4")
