"""Search methods held against a table of every network: what they find, and its regret.

`config.py` makes the search of a table's space, `trials.py` runs a method and asks the
table, `drawing.py` says what a random search of the same cost would have found.
"""

from ifnas_jax.testbed.config import search_config, space_config
from ifnas_jax.testbed.drawing import drawn_regret
from ifnas_jax.testbed.trials import Trial, try_method

__all__ = ["Trial", "drawn_regret", "search_config", "space_config", "try_method"]
