"""Figure 6: gates of candidate inputs over time, with and without IF sampling."""

import functools

from ifnas_jax.experiments import searched

TITLE = "Figure 6: the searches whose gates are drawn"


def settings(base):
    """Those of Table 4 without the controls."""
    return searched.settings(base, "w/ IF", "w/o IF")


tables = functools.partial(searched.tables, title=TITLE)
figures = functools.partial(searched.gates, name="figure6")
