"""Figure 7: five spaces, three ways of searching them, accuracy over the space's size.

The paper gives its values as a picture only, so there is no table of them.
"""

import math

from matplotlib.figure import Figure

from ifnas_jax import config as config_lib
from ifnas_jax import statistics
from ifnas_jax.experiments import runs
from ifnas_jax.experiments.settings import Setting

_METHODS = ("random", "dnas", "ifnas")
_CELLS = {"space_D": "darts_space", "space_G": "goldnas_space"}


def settings(base) -> list[Setting]:
    """Every space with every way."""
    fields = {"retrain__epochs": 100} if runs.is_paper(base) else {}
    cells = [
        runs.cells_setting(
            base, f"{name}, {runs.NAMES[method]}", space, method, **fields
        )
        for name, space in _CELLS.items()
        for method in _METHODS
    ]
    chains = [
        runs.chain_setting(base, length, method, **fields)
        for length in runs.CHAINS
        for method in _METHODS
    ]
    return cells + chains


def tables(results):
    """Ours."""
    return [runs.table("Figure 7: spaces and ways to search them", results)]


def figures(results) -> dict[str, Figure]:
    """A line for each way: mean accuracy over the exponent of the space's size."""
    figure = Figure(figsize=(5.6, 3.2), layout="constrained")
    axes = figure.subplots()
    for index, method in enumerate(_METHODS):
        points = []
        for label in results.labels:
            values = results.trained(label, "found")
            if label.endswith(f", {runs.NAMES[method]}") and values:
                size = math.log10(
                    config_lib.space(results.setting(label).config).size()
                )
                points.append((size, statistics.mean_of(values)))
        points.sort(key=lambda point: point[0])
        axes.errorbar(
            [size for size, _ in points],
            [100 * own.mean for _, own in points],
            yerr=[100 * (own.half or 0.0) for _, own in points],
            color=f"C{index}",
            marker="o",
            capsize=2,
            label=runs.NAMES[method],
        )
    axes.set_xlabel("log10 of the number of architectures", fontsize=8.5)
    axes.set_ylabel("top-1, %", fontsize=8.5)
    axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return {"figure7": figure}
