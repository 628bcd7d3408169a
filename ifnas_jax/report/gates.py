"""The gates g(β) of candidate inputs over time, as in the paper's Figure 6."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ifnas_jax.report.arcs import INK

Node = tuple[int, int]  # (stage, counted from 1; node)

_PANELS = 12
_COLUMNS = 4


def draw_gates(
    rows: Sequence[Mapping[str, Any]], nodes: Sequence[Node] | None = None
) -> Figure:
    """Draws a panel for each node with a line for each of its candidate inputs.

    Darker is nearer; the line of a pruned input ends in a cross.

    Args:
      rows: of `search/gates.jsonl`, at least one.
      nodes: the nodes to draw; up to 12, spread over the stages, if not given.
    """
    steps = np.array([row["step"] for row in rows])
    # None, no edge or no more, becomes NaN, which lines leave out.
    stages = [
        np.array([row["beta"][stage] for row in rows], float)
        for stage in range(len(rows[0]["beta"]))
    ]
    if nodes is None:
        nodes = _overview(stages)
    columns = min(_COLUMNS, len(nodes))
    lines = math.ceil(len(nodes) / columns)
    figure = Figure(
        figsize=(max(4.5, 0.5 + 2.1 * columns), 0.9 + 1.7 * lines), layout="constrained"
    )
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[len(nodes) :]:
        axes.axis("off")
    for (stage, node), axes in zip(nodes, panels.flat, strict=False):
        _draw_panel(axes, steps, stages[stage - 1][:, node - 1])
        axes.set_title(f"stage {stage}, node {node}", fontsize=8.5, color=INK, pad=4)
    for axes in panels[:, 0]:
        axes.set_ylabel("g(β)", fontsize=8.5)
    # The lowest panel of each column; a last line may be shorter.
    for axes in panels.flat[max(0, len(nodes) - columns) : len(nodes)]:
        axes.set_xlabel("step", fontsize=8.5)
        axes.tick_params(labelbottom=True)
    _draw_legend(figure, stages[0].shape[-1])
    return figure


def _overview(stages: Sequence[np.ndarray]) -> list[Node]:
    """Nodes spread evenly over each stage, of those with candidates to compare."""
    chosen = []
    for stage, gates in enumerate(stages, start=1):
        candidates = (~np.isnan(gates[0])).sum(axis=-1)
        nodes = np.flatnonzero(candidates >= min(2, candidates.max())) + 1
        count = min(max(1, _PANELS // len(stages)), len(nodes))
        places = np.linspace(0, len(nodes) - 1, count).round().astype(int)
        chosen += [(stage, int(node)) for node in nodes[places]]
    return chosen[:_PANELS]


def _draw_panel(axes: Axes, steps: np.ndarray, gates: np.ndarray) -> None:
    """The lines of one node; `gates` is [rows, L], NaN where there is no edge."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7.5)
    axes.set_ylim(-0.02, 1.03)
    axes.locator_params(axis="x", nbins=4)
    num_precursors = gates.shape[1]
    # The nearest is drawn last, on top.
    for distance in range(num_precursors, 0, -1):
        values = gates[:, distance - 1]
        alive = np.flatnonzero(~np.isnan(values))
        if not len(alive):
            continue
        color = _shade(distance, num_precursors)
        axes.plot(steps, values, color=color, linewidth=1.5)
        last = alive[-1]
        if last < len(steps) - 1:
            axes.plot(
                steps[last],
                values[last],
                "x",
                color=color,
                markersize=5,
                markeredgewidth=1.4,
                clip_on=False,
                zorder=3,
            )


def _shade(distance: int, num_precursors: int) -> tuple[float, float, float, float]:
    """Dark for the direct precursor, light for the farthest."""
    share = (distance - 1) / max(1, num_precursors - 1)
    return matplotlib.colormaps["viridis"](0.05 + 0.83 * share)


def _draw_legend(figure: Figure, num_precursors: int) -> None:
    handles = [
        Line2D(
            [],
            [],
            color=_shade(distance, num_precursors),
            label=f"pre-{distance}",
            linewidth=1.5,
        )
        for distance in range(1, num_precursors + 1)
    ]
    handles.append(
        Line2D(
            [], [], color=INK, marker="x", linestyle="", markersize=5, label="pruned"
        )
    )
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), 5),
        frameon=False,
        fontsize=8,
        handlelength=1.6,
        columnspacing=1.4,
    )
