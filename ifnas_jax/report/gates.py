"""The gates g(β) of candidate inputs over time, as in the paper's Figure 6."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ifnas_jax.report.arcs import INK

Node = tuple[int, int]  # (stage, counted from 1; node)

_PANELS = 12
_NAMES = 5  # beside each other in a legend


def draw_gates(
    rows: Sequence[Mapping[str, Any]],
    nodes: Sequence[Node] | None = None,
    columns: int = 4,
) -> Figure:
    """Draws a panel for each node with a line for each of its candidate inputs.

    Darker is nearer; the line of a pruned input ends in a cross.

    Args:
      rows: of `search/gates.jsonl`, at least one.
      nodes: the nodes to draw; those of `overview` if not given.
      columns: panels beside each other, at most.
    """
    steps = np.array([row["step"] for row in rows])
    stages = gate_arrays(rows)
    if nodes is None:
        nodes = overview(rows)
    columns = min(columns, len(nodes))
    lines = math.ceil(len(nodes) / columns)
    figure = Figure(
        figsize=(max(4.5, 0.5 + 2.1 * columns), 0.9 + 1.7 * lines), layout="constrained"
    )
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[len(nodes) :]:
        axes.axis("off")
    for (stage, node), axes in zip(nodes, panels.flat, strict=False):
        draw_lines(axes, steps, stages[stage - 1][:, node - 1])
        _name_panel(axes, (stage, node))
    for axes in panels[:, 0]:
        axes.set_ylabel("g(β)", fontsize=8.5)
    # The lowest panel of each column; a last line may be shorter.
    for axes in panels.flat[max(0, len(nodes) - columns) : len(nodes)]:
        axes.set_xlabel("step", fontsize=8.5)
        axes.tick_params(labelbottom=True)
    add_legend(figure, stages[0].shape[-1], "outside lower center")
    return figure


def draw_node(steps: np.ndarray, gates: np.ndarray, node: Node) -> Figure:
    """Draws a panel of `draw_gates` alone; `draw_legend` names the lines.

    Args:
      steps: of the rows.
      gates: of the node, [rows, L], NaN where there is no edge.
      node: which it is.
    """
    figure = Figure(figsize=(2.75, 1.9))
    axes = figure.add_axes((0.18, 0.21, 0.79, 0.66))
    draw_lines(axes, steps, gates)
    _name_panel(axes, node)
    axes.set_ylabel("g(β)", fontsize=8.5)
    axes.set_xlabel("step", fontsize=8.5)
    return figure


def draw_legend(num_precursors: int) -> Figure:
    """The legend of `draw_gates` alone."""
    figure = Figure(figsize=(3.7, 0.25 * math.ceil((num_precursors + 1) / _NAMES)))
    add_legend(figure, num_precursors, "center")
    return figure


def draw_mean_gates(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draws a line for each distance: the mean over all nodes with such a candidate.

    A candidate that was pruned counts as 0.

    Args:
      rows: of `search/gates.jsonl`, at least one.
    """
    steps = np.array([row["step"] for row in rows])
    means = mean_gates(rows)
    figure = Figure(figsize=(3.5, 2.7), layout="constrained")
    axes = figure.subplots()
    draw_lines(axes, steps, means)
    axes.set_ylabel("mean g(β)", fontsize=8.5)
    axes.set_xlabel("step", fontsize=8.5)
    add_legend(figure, means.shape[-1], "outside lower center", crosses=False)
    return figure


def mean_gates(rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """The mean gate of each distance, [rows, L]; candidates that were pruned are 0.

    NaN of a distance that no node has.
    """
    # [rows, nodes of all stages, L]; what is there at first is a candidate.
    gates = np.concatenate(gate_arrays(rows), axis=1)
    counts = (~np.isnan(gates[0])).sum(axis=0)
    return np.where(counts, np.nansum(gates, axis=1) / np.maximum(counts, 1), np.nan)


def gate_arrays(rows: Sequence[Mapping[str, Any]]) -> list[np.ndarray]:
    """For each stage [rows, N, L]; NaN, left out by lines, where there is no edge."""
    return [
        np.array([row["beta"][stage] for row in rows], float)
        for stage in range(len(rows[0]["beta"]))
    ]


def overview(rows: Sequence[Mapping[str, Any]]) -> list[Node]:
    """Nodes spread evenly over each stage, of those with candidates to compare.

    Up to 12 in all.
    """
    chosen, stages = [], gate_arrays(rows[:1])
    for stage, gates in enumerate(stages, start=1):
        candidates = (~np.isnan(gates[0])).sum(axis=-1)
        nodes = np.flatnonzero(candidates >= min(2, candidates.max())) + 1
        count = min(max(1, _PANELS // len(stages)), len(nodes))
        places = np.linspace(0, len(nodes) - 1, count).round().astype(int)
        chosen += [(stage, int(node)) for node in nodes[places]]
    return chosen[:_PANELS]


def _name_panel(axes: Axes, node: Node) -> None:
    title = "stage {}, node {}".format(*node)
    axes.set_title(title, fontsize=8.5, color=INK, pad=4)


def draw_lines(axes: Axes, steps: np.ndarray, gates: np.ndarray) -> None:
    """The lines of one node; `gates` is [rows, L], NaN where there is no edge."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7.5)
    axes.set_ylim(-0.02, 1.03)
    # All steps, also where the last input goes early.
    axes.update_datalim([(steps[0], 0), (steps[-1], 0)])
    axes.locator_params(axis="x", nbins=4)
    num_precursors = gates.shape[1]
    # The nearest is drawn last, on top.
    for distance in range(num_precursors, 0, -1):
        values = gates[:, distance - 1]
        alive = np.flatnonzero(~np.isnan(values))
        if not len(alive):
            continue
        color = shade(distance, num_precursors)
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


def shade(distance: int, num_precursors: int) -> str:
    """The colour "#rrggbb": dark for the direct precursor, light for the farthest."""
    share = (distance - 1) / max(1, num_precursors - 1)
    return to_hex(matplotlib.colormaps["viridis"](0.05 + 0.72 * share))


def add_legend(
    figure: Figure, num_precursors: int, where: str, crosses: bool = True
) -> None:
    """Names the lines of all distances at `where`, a place as matplotlib names it."""
    handles = [
        Line2D(
            [],
            [],
            color=shade(distance, num_precursors),
            label=f"pre-{distance}",
            linewidth=1.5,
        )
        for distance in range(1, num_precursors + 1)
    ]
    if crosses:
        cross = {"color": INK, "marker": "x", "linestyle": "", "markersize": 5}
        handles.append(Line2D([], [], label="pruned", **cross))
    figure.legend(
        handles=handles,
        loc=where,
        ncols=min(len(handles), _NAMES),
        frameon=False,
        fontsize=8,
        handlelength=1.6,
        columnspacing=1.4,
    )
