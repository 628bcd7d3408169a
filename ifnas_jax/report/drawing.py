"""Networks and spaces drawn as in the paper's Figures 4 and 5.

A stage is a column of numbered nodes, read downwards from its input, node 0; the
three stages stand side by side.
"""

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from ifnas_jax.architecture import Architecture, KeptEdge, KeptStage
from ifnas_jax.report.arcs import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    Arc,
    Column,
    Stroke,
    choose_sides,
    draw_columns,
)
from ifnas_jax.report.tables import stage_names
from ifnas_jax.spaces import interleaving
from ifnas_jax.spaces.graph import Edge, Space, Stage

# In the order of a space's operators; line styles tell them apart without colour.
_COLORS = (BLUE, ORANGE, GREEN, PURPLE)
_LINES = ((1.7, ()), (1.4, (3.2, 1.4)), (1.6, (1, 1.1)), (1.5, (5, 1.2, 1, 1.2)))
_UNUSED = Stroke(FAINT, 0.6, arrow=False)
_BACKBONE = Stroke(INK, 1.4)
_SAMPLED = Stroke(BLUE, 1.5)
_ADDED = Stroke(ORANGE, 1.5, (3.2, 1.4))


def draw_architecture(
    architecture: Architecture,
    title: str = "",
    gates: Sequence[np.ndarray] | None = None,
) -> Figure:
    """Draws what a network keeps: an arc for each operator on each connection.

    Args:
      architecture: the network.
      title: a line above MAdds, parameters and depth.
      gates: for each stage, g(β) of each edge, [N, L]: the more open, the thicker.

    Returns:
      The figure. The arc of an operator has the id `stage1-0-4-skip_connect`.
    """
    total = architecture.cost()
    depth = architecture.depth_per_stage()
    # Of many cells the sum alone is readable.
    parts = f" ({' + '.join(map(str, depth))})" if len(depth) == 3 else ""
    facts = (
        f"MAdds {total.madds / 1e6:.1f}M  ·  parameters {total.params / 1e6:.2f}M  ·  "
        f"depth {architecture.depth()}{parts}"
    )
    shapes, strokes = _shapes(architecture), _strokes(architecture.space.operators)
    names = stage_names(architecture.space)
    columns = [
        _kept_column(
            index,
            stage,
            (names[index - 1], shapes[index - 1]),
            strokes,
            None if gates is None else gates[index - 1],
        )
        for index, stage in enumerate(architecture.stages, start=1)
    ]
    used = {op for s in architecture.stages for edge in s.edges for op in edge.ops}
    legend = {name: strokes[name] for name in sorted(used)}
    return draw_columns(f"{title}\n{facts}" if title else facts, columns, legend)


def _shapes(architecture: Architecture) -> list[str]:
    """Width and size of each stage's nodes; of a cell that is stacked, how often."""
    space, macro = architecture.space, architecture.macro
    positions = space.positions(macro.cells)
    if space.shared:
        stages = [position.stage for position in positions]
        return [f"{stages.count(index)} times" for index in range(len(space.stages))]
    return [
        f"{macro.widths[level]} × {macro.sizes[level]} × {macro.sizes[level]}"
        for _, level in positions
    ]


def draw_space(
    space: Space,
    groups: Sequence[Sequence[Iterable[int]]],
    group_index: int,
    added: Sequence[Iterable[Edge]] = (),
) -> Figure:
    """Draws a super-network, and beside it the part that a group's steps train.

    To the left of each column is every connection of the space; to the right, the
    sub-super-network: the backbone and all connections that end in the group.

    Args:
      space: the space.
      groups: for each stage its sampling groups, each a list of nodes.
      group_index: which of the groups to show.
      added: for each stage, connections that were added on purpose.
    """
    columns = []
    names = stage_names(space)
    for index, (stage, own) in enumerate(zip(space.stages, groups, strict=True)):
        extra = tuple(added[index]) if added else ()
        column = _space_column(index + 1, names[index], stage, own[group_index], extra)
        columns.append(column)
    title = (
        f"{space.name}, L = {space.num_precursors}, {space.num_edges} connections\n"
        f"group {group_index} of {len(groups[0])}"
    )
    legend = {
        "all connections": _UNUSED,
        "backbone": _BACKBONE,
        "end in the group": _SAMPLED,
    }
    if any(tuple(edges) for edges in added):
        legend["added"] = _ADDED
    return draw_columns(title, columns, legend)


def _strokes(operators: Sequence[str]) -> dict[str, Stroke]:
    """Of each operator; from the fifth on a line comes again, in another colour."""
    strokes = {}
    for number, name in enumerate(operators):
        row, column = divmod(number, len(_COLORS))
        line = _LINES[(column + row) % len(_LINES)]
        strokes[name] = Stroke(_COLORS[column], *line)
    return strokes


def _kept_column(
    index: int,
    stage: KeptStage,
    texts: tuple[str, str],
    strokes: Mapping[str, Stroke],
    gates: np.ndarray | None,
) -> Column:
    sides = choose_sides((edge.src, edge.dst) for edge in stage.edges)
    arcs = []
    for edge in stage.edges:
        own = strokes
        if gates is not None:
            gate = gates[edge.dst - 1, edge.dst - edge.src - 1]
            own = {name: _scaled(stroke, gate) for name, stroke in strokes.items()}
        arcs += _operator_arcs(index, edge, sides[edge.src, edge.dst], own)
    kept, (name, shape) = stage.nodes(), texts
    num_nodes = stage.graph.num_nodes
    return Column(
        name,
        f"{shape}\n{len(kept)} of {num_nodes} nodes",
        num_nodes,
        tuple(arcs),
        faded=frozenset(range(1, num_nodes + 1)) - set(kept),
        first=stage.graph.first,
    )


def _scaled(stroke: Stroke, gate: float) -> Stroke:
    """The more open the gate, the thicker; as thin as can be seen if it is not told."""
    share = 0.0 if np.isnan(gate) else float(gate)
    return dataclasses.replace(stroke, width=stroke.width * (0.4 + 1.1 * share))


def _operator_arcs(
    index: int, edge: KeptEdge, side: int, strokes: Mapping[str, Stroke]
) -> list[Arc]:
    """The operators of one connection, side by side."""
    gaps = len(edge.ops) - 1
    # Straight lines spread around the middle, no wider than a node; arcs outwards.
    first, spread = (0.0, 0.6) if side else (-gaps / 2, 0.4)
    gap = min(0.2, spread / max(1, gaps))
    return [
        Arc(
            edge.src,
            edge.dst,
            strokes[name],
            side,
            shift=gap * (first + position),
            name=f"stage{index}-{edge.src}-{edge.dst}-{name}",
        )
        for position, name in enumerate(edge.ops)
    ]


def _space_column(
    index: int, name: str, stage: Stage, group: Iterable[int], added: Collection[Edge]
) -> Column:
    group = frozenset(group)
    arcs = [
        Arc(src, dst, _UNUSED, side=-1) for src, dst in stage.edges() if dst - src > 1
    ]
    arcs += [Arc(n - 1, n, _BACKBONE, 0) for n in range(1, stage.num_nodes + 1)]
    active = [
        (edge, _SAMPLED) for edge in interleaving.active_connections(stage, group)
    ]
    for (src, dst), stroke in active + [(edge, _ADDED) for edge in added]:
        if dst - src > 1:
            gid = f"stage{index}-{src}-{dst}"
            arcs.append(Arc(src, dst, stroke, side=1, name=gid))
    footing = f"{len(group)} of {stage.num_nodes} nodes"
    return Column(
        name, footing, stage.num_nodes, tuple(arcs), filled=group, first=stage.first
    )
