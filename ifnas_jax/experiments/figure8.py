"""Figure 8: the study of Figure 1 four times; with other seeds, it shares the runs."""

from ifnas_jax.experiments.single_node import figure, settings, tables

__all__ = ["figures", "settings", "tables"]

PAPER_SEEDS = 4


def figures(results) -> dict:
    """The curves."""
    return {"figure8": figure(results)}
