"""Figure 1: one node's gates with and without interleaved connections, one run each."""

from ifnas_jax.experiments.single_node import figure, settings, tables

__all__ = ["figures", "settings", "tables"]

PAPER_SEEDS = 1


def figures(results) -> dict:
    """The curves."""
    return {"figure1": figure(results)}
