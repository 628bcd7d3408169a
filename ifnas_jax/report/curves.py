"""Curves of a run, from the rows of its logs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ifnas_jax.report.arcs import BLUE, FAINT, GREEN, INK, ORANGE

Row = Mapping[str, Any]

# Phases of a search, as the figures name them.
_PHASES = {"weights": "ω", "beta": "+ β", "alpha": "+ α", "prune": "+ pruning"}


def draw_cost(
    metrics: Sequence[Row], prunings: Sequence[Row] = (), target: int | None = None
) -> Figure:
    """MAdds, edges and depth of the retained architecture over a search's steps.

    Args:
      metrics: rows of `search/metrics.jsonl`.
      prunings: rows of `search/prunings.jsonl`; a tick for each step that pruned.
      target: MAdds to reach, drawn dashed.
    """
    figure = Figure(figsize=(3.7, 5.2), layout="constrained")
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 2))
    steps = [row["step"] for row in metrics]
    madds = [row["madds"] / 1e6 for row in metrics]
    top.step(steps, madds, where="post", color=BLUE, linewidth=1.6)
    top.set_ylabel("MAdds (M)")
    if target:
        top.axhline(target / 1e6, color=INK, linewidth=1, linestyle=(0, (4, 2)))
        top.annotate(
            f"target {target / 1e6:.1f}M",
            (0.005, target / 1e6),
            (0, 3),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            fontsize=8,
            color=INK,
        )
        # Room for the label below the curve's lowest point.
        top.margins(y=0.12)
    for axes, key, color in ((middle, "edges", GREEN), (bottom, "depth", ORANGE)):
        values = [row[key] for row in metrics]
        axes.step(steps, values, where="post", color=color, linewidth=1.6)
        axes.set(ylabel=key, ylim=(0, 1.25 * max(values)))
        axes.yaxis.set_major_locator(MaxNLocator("auto", integer=True))
    bottom.set_xlabel("step")
    for axes in (top, middle, bottom):
        style_axes(axes)
    _tick_prunings(bottom, prunings)
    _mark_phases(top, metrics)
    return figure


def _tick_prunings(axes: Axes, prunings: Sequence[Row]) -> None:
    """A tick at the foot of the axes for each step that pruned."""
    steps = sorted({row["step"] for row in prunings})
    if not steps:
        return
    axes.plot(
        steps,
        np.zeros(len(steps)),
        "|",
        color=INK,
        markersize=9,
        markeredgewidth=1,
        clip_on=False,
        transform=axes.get_xaxis_transform(),
        label=f"prunings: {len(prunings)} operators at {len(steps)} steps",
    )
    axes.legend(loc="best", frameon=False, fontsize=8, handlelength=1)


def draw_training(search: Sequence[Row], retrain: Sequence[Row]) -> Figure:
    """Loss and accuracy of the search and of the retraining, a column for each."""
    runs = [
        (rows, name)
        for rows, name in ((search, "search"), (retrain, "retraining"))
        if rows
    ]
    figure = Figure(figsize=(3.7 * len(runs), 4.6), layout="constrained")
    panels = figure.subplots(2, len(runs), sharex="col", squeeze=False)
    for (rows, name), (upper, lower) in zip(runs, panels.T, strict=True):
        _curve(upper, rows, "loss", 1, BLUE)
        _curve(lower, rows, "accuracy", 100, BLUE)
        _points(lower, rows, "valid_accuracy", "validation", "D")
        _points(lower, rows, "test_top1", "test, top-1", "o")
        upper.set_title(name, fontsize=10, color=INK, pad=16)
        lower.set_xlabel("step")
        for axes in (upper, lower):
            style_axes(axes)
        _mark_phases(upper, rows)
        if len(lower.lines) > 1:
            lower.legend(loc="lower right", frameon=False, fontsize=8)
    panels[0, 0].set_ylabel("loss")
    panels[1, 0].set_ylabel("accuracy (%)")
    return figure


def _curve(axes: Axes, rows: Sequence[Row], key: str, scale: float, color: str) -> None:
    """A faint line through every value, and their running mean."""
    rows = [row for row in rows if key in row]
    if not rows:
        return
    steps = np.array([row["step"] for row in rows])
    values = scale * np.array([row[key] for row in rows], float)
    window = max(1, len(values) // 40)
    axes.plot(steps, values, color=FAINT, linewidth=0.7)
    # The mean over the values up to a step, so that it tells nothing of later ones.
    sums = np.cumsum(np.concatenate([[0.0], values]))
    first = np.maximum(np.arange(1, len(sums)) - window, 0)
    means = (sums[1:] - sums[first]) / (np.arange(1, len(sums)) - first)
    axes.plot(steps, means, color=color, linewidth=1.6, label="training")


def _points(axes: Axes, rows: Sequence[Row], key: str, label: str, marker: str) -> None:
    """What is measured now and then: markers on a thin line."""
    rows = [row for row in rows if row.get(key) is not None]
    if not rows:
        return
    axes.plot(
        [row["step"] for row in rows],
        [100 * row[key] for row in rows],
        marker=marker,
        markersize=3.5,
        linewidth=1,
        color=ORANGE,
        label=f"{label} ({100 * rows[-1][key]:.1f} % at step {rows[-1]['step']})",
    )


def _mark_phases(axes: Axes, rows: Sequence[Row]) -> None:
    """Names the phases of a search above the axes, and parts them by lines."""
    starts: dict[str, int] = {}
    for row in rows:
        if "phase" in row:
            starts.setdefault(row["phase"], row["step"])
    ends = [*list(starts.values())[1:], math.inf]
    span = rows[-1]["step"] - rows[0]["step"]
    for (phase, step), end in zip(starts.items(), ends, strict=False):
        if step > rows[0]["step"]:
            axes.axvline(step, color=FAINT, linewidth=0.8, zorder=0)
        if end - step < 0.08 * span:
            continue  # Its name would run into the next.
        axes.annotate(
            _PHASES.get(phase, phase),
            (step, 1),
            (2, 3),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            fontsize=8,
            color=INK,
        )


def share_limits(figures: Sequence[Figure]) -> None:
    """Gives the axes of figures of one kind the limits that all of them fit in."""
    for panels in zip(*(figure.axes for figure in figures), strict=True):
        for axis in ("x", "y"):
            limits = [getattr(axes, f"get_{axis}lim")() for axes in panels]
            low, high = min(low for low, _ in limits), max(high for _, high in limits)
            for axes in panels:
                axes.set(**{f"{axis}lim": (low, high)})


def style_axes(axes: Axes) -> None:
    """The look that all curves share."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.xaxis.label.set_size(9)
    axes.yaxis.label.set_size(9)
    axes.grid(axis="y", color="#eeeeee", linewidth=0.8)
    axes.set_axisbelow(True)
