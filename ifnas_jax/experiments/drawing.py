"""Figures of numbers over seeds."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from ifnas_jax import statistics
from ifnas_jax.report.arcs import BLUE, FAINT, INK, ORANGE


def strip_figure(panels: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """A panel for each measure: a dot for each seed, the mean and its 95 % interval.

    Args:
      panels: by what is measured, the values of each setting, by its label.
    """
    labels = list(next(iter(panels.values())))
    figure = Figure(
        figsize=(1.6 + 2.6 * len(panels), 0.9 + 0.34 * len(labels)),
        layout="constrained",
    )
    rows = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (name, groups) in zip(rows, panels.items(), strict=True):
        for place, values in enumerate(groups.values()):
            _strip(axes, place, values)
        _limit(axes, [value for values in groups.values() for value in values])
        axes.set_xlabel(name, fontsize=8.5, color=INK)
        axes.set_yticks(range(len(labels)), labels, fontsize=8.5)
        axes.tick_params(axis="x", labelsize=8)
        axes.grid(axis="x", color=FAINT, linewidth=0.4)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    rows[0].invert_yaxis()
    return figure


def _limit(axes, values: Sequence[float]) -> None:
    """Shows all dots; the interval of two seeds would be as wide as the rest."""
    if values:
        pad = 0.12 * (max(values) - min(values)) or 1.0
        axes.set_xlim(min(values) - pad, max(values) + pad)


def _strip(axes, place: int, values: Sequence[float]) -> None:
    found = statistics.mean_of(values)
    if found.mean is None:
        axes.text(0.02, place, "not run", fontsize=7.5, color=FAINT, va="center",
                  transform=axes.get_yaxis_transform())  # fmt: skip
        return
    # Equal values beside each other, not on top.
    shift = np.linspace(-0.22, 0.22, len(values)) if len(values) > 1 else [0.0]
    axes.scatter(values, place + np.asarray(shift), s=12, color=BLUE, alpha=0.75, lw=0)
    axes.errorbar(
        found.mean,
        place,
        xerr=found.half,
        fmt="|",
        color=ORANGE,
        markersize=12,
        markeredgewidth=1.8,
        elinewidth=1.2,
        capsize=0,
    )


def line_figure(
    lines: Mapping[str, tuple[Sequence[float], Sequence[Sequence[float]]]],
    xlabel: str,
    ylabel: str,
) -> Figure:
    """A line for each setting, the mean over its seeds, which are thin lines.

    Args:
      lines: by label, the steps and for each seed the values there.
      xlabel: of the steps.
      ylabel: of the values.
    """
    figure = Figure(figsize=(5.6, 3.0), layout="constrained")
    axes = figure.subplots()
    for index, (label, (steps, seeds)) in enumerate(lines.items()):
        color = f"C{index}"
        for own in seeds:
            axes.plot(steps, own, color=color, linewidth=0.5, alpha=0.5)
        axes.plot(
            steps, np.mean(seeds, axis=0), color=color, linewidth=1.8, label=label
        )
    axes.set_xlabel(xlabel, fontsize=8.5)
    axes.set_ylabel(ylabel, fontsize=8.5)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    if lines:
        axes.legend(fontsize=8, frameon=False)
    return figure
