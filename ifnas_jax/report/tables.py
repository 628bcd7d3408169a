"""Facts about spaces and architectures, as JSON objects and as text."""

import collections
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ifnas_jax.architecture import Architecture, KeptEdge, cost
from ifnas_jax.spaces import interleaving
from ifnas_jax.spaces.graph import Edge, Space

# The plain chain: every direct connection, with this operator.
_CHAIN_OPERATOR = "sep_conv_3x3"

Facts = Mapping[str, Any]


def describe_space(
    space: Space,
    macro: cost.Macro,
    groups: Sequence[Sequence[Sequence[int]]],
    added: Sequence[Sequence[Sequence[Edge]]],
    sampled: bool = True,
) -> dict[str, Any]:
    """What `inspect --config --json` prints.

    Args:
      space: the space.
      macro: the sizes at which networks are priced.
      groups: for each stage its sampling groups, each a list of nodes.
      added: for each group and stage, connections added on purpose (Table 5).
      sampled: whether a step trains a group; if not, all connections are counted.
    """
    chain_edges = []
    for full in space.full():
        edges = np.zeros_like(full)
        edges[:, 0] = [name == _CHAIN_OPERATOR for name in space.operators]
        chain_edges.append(edges)
    chain = cost.network_cost(space, macro, chain_edges)
    pairs = []
    for index, additions in enumerate(added):
        total = 0
        for stage, own, extra in zip(space.stages, groups, additions, strict=True):
            nodes = own[index] if sampled else range(1, stage.num_nodes + 1)
            active = interleaving.active_connections(stage, nodes)
            total += interleaving.count_interleaved(active + tuple(extra))
        pairs.append(total)
    return {
        "edges": space.num_edges,
        "log10_size": math.log10(space.size()),
        "log10_size_paper": math.log10(space.size_paper()),
        "supernet_madds": cost.network_cost(space, macro, space.full()).madds,
        "chain_madds": chain.madds,
        "chain_params": chain.params,
        "sampled": sampled,
        "groups": [[list(group) for group in own] for own in groups],
        "added": [[list(map(list, extra)) for extra in own] for own in added],
        "interleaved_pairs": pairs,
    }


def describe_architecture(architecture: Architecture) -> dict[str, Any]:
    """What `inspect --architecture --json` prints."""
    total = architecture.cost()
    depth = architecture.depth_per_stage()
    edges = [edge for stage in architecture.stages for edge in stage.edges]
    distances = collections.Counter(edge.dst - edge.src for edge in edges)
    return {
        "madds": total.madds,
        "madds_by_part": madds_by_part(architecture),
        "params": total.params,
        "depth": architecture.depth(),
        "depth_per_stage": list(depth),
        "ops": _count_operators(architecture, edges),
        "precursor_histogram": {
            str(distance): distances[distance]
            for distance in range(1, architecture.space.num_precursors + 1)
        },
        "interleaved_pairs": sum(
            _interleaved(stage.edges) for stage in architecture.stages
        ),
    }


def madds_by_part(architecture: Architecture) -> dict[str, int]:
    """MAdds of the stem, each stage, what is between them, and the head."""
    space, macro = architecture.space, architecture.macro
    fixed = cost.fixed_parts(space, macro)
    kept = [own.kept(space.operators) for own in architecture.stages]
    stages = cost.stage_costs(space, macro, kept)
    names = stage_names(space)
    return {
        "stem": fixed["stem"].madds,
        **{name: own.madds for name, own in zip(names, stages, strict=True)},
        "inputs of the " + ("cells" if space.has_cells else "stages"): fixed[
            "inputs"
        ].madds,
        "head": fixed["head"].madds,
    }


def _count_operators(
    architecture: Architecture, edges: Sequence[KeptEdge]
) -> dict[str, int]:
    """How often each operator that the architecture can have is there."""
    names = architecture.space.operators
    return {name: sum(name in edge.ops for edge in edges) for name in names}


def _interleaved(edges: Sequence[KeptEdge]) -> int:
    return interleaving.count_interleaved((edge.src, edge.dst) for edge in edges)


def stage_names(space: Space) -> list[str]:
    """What the stages are called."""
    if space.shared:
        return ["normal cell", "reduction cell"]
    if not space.has_cells:
        return [f"stage {index + 1}" for index in range(len(space.stages))]
    return [
        f"cell {index + 1}{' (reduction)' if stage.stride > 1 else ''}"
        for index, stage in enumerate(space.stages)
    ]


def space_table(space: Space, macro: cost.Macro, facts: Facts) -> str:
    """`describe_space`'s facts for a reader."""
    lines = aligned(
        [
            [
                "space",
                f"{space.name}, L = {space.num_precursors}, nodes "
                f"{' + '.join(map(str, space.nodes))}",
            ],
            ["operators", ", ".join(space.operators)],
            ["connections", str(facts["edges"])],
            [
                "architectures",
                f"10^{facts['log10_size']:.3f} "
                f"(10^{facts['log10_size_paper']:.3f} as the paper counts)",
            ],
            ["whole network", f"{millions(facts['supernet_madds'])} MAdds"],
            [
                "plain chain",
                f"{millions(facts['chain_madds'])} MAdds, "
                f"{millions(facts['chain_params'], 2)} parameters",
            ],
            ["priced at", _sizes(macro)],
        ]
    )
    names, columns = stage_names(space), facts["groups"]
    if len(columns) > 1 and all(own == columns[0] for own in columns):
        names, columns = ["every stage"], columns[:1]
    rows = [["group", *names, "interleaved pairs"]]
    for index, pairs in enumerate(facts["interleaved_pairs"]):
        nodes = [" ".join(map(str, own[index])) or "-" for own in columns]
        rows.append([str(index), *nodes, str(pairs)])
    title = f"{len(facts['groups'][0])} sampling groups"
    if not facts["sampled"]:
        pairs = facts["interleaved_pairs"][0]
        title = f"No groups are sampled; {pairs} pairs of all connections interleave."
        return "\n".join([*lines, "", title])
    return "\n".join([*lines, "", title, *aligned(rows), *_additions(space, facts)])


def _additions(space: Space, facts: Facts) -> list[str]:
    """Lines of what is added to each group on purpose."""
    lines = []
    for index, own in enumerate(facts["added"]):
        for name, edges in zip(stage_names(space), own, strict=True):
            if edges:
                pairs = ", ".join(f"({src}, {dst})" for src, dst in edges)
                lines.append(f"added to group {index}, {name}: {pairs}")
    return ["", *lines] if lines else []


def architecture_table(architecture: Architecture, facts: Facts) -> str:
    """`describe_architecture`'s facts for a reader."""
    depth = ", ".join(map(str, facts["depth_per_stage"]))
    names = stage_names(architecture.space)
    lines = aligned(
        [
            [
                "space",
                f"{architecture.space.name}, L = {architecture.space.num_precursors}",
            ],
            ["MAdds", millions(facts["madds"])],
            ["parameters", millions(facts["params"], 2)],
            ["depth", f"{facts['depth']} ({depth} in each)"],
            ["priced at", _sizes(architecture.macro)],
        ]
    )
    rows = [["stage", "nodes", "connections", *facts["ops"], "interleaved pairs"]]
    for index, stage in enumerate(architecture.stages):
        rows.append(
            [
                names[index],
                f"{len(stage.nodes())} of {stage.graph.num_nodes}",
                str(len(stage.edges)),
                *map(str, _count_operators(architecture, stage.edges).values()),
                str(_interleaved(stage.edges)),
            ]
        )
    rows.append(
        [
            "all",
            f"{sum(len(stage.nodes()) for stage in architecture.stages)} of "
            f"{sum(architecture.space.nodes)}",
            str(sum(facts["precursor_histogram"].values())),
            *map(str, facts["ops"].values()),
            str(facts["interleaved_pairs"]),
        ]
    )
    histogram = [
        ["precursor", *(f"pre-{key}" for key in facts["precursor_histogram"])],
        ["connections", *map(str, facts["precursor_histogram"].values())],
    ]
    parts = [
        ["part", *facts["madds_by_part"]],
        ["MAdds", *map(millions, facts["madds_by_part"].values())],
    ]
    tables = [line for own in (rows, histogram, parts) for line in ["", *aligned(own)]]
    return "\n".join([*lines, *tables])


def latency_table(latency: Facts) -> str:
    """What `inspect --latency` measured, for a reader."""
    rows = [["batch", "median", "10 to 90 %", "an image", "calls", "compiling"]]
    for own in latency["batches"]:
        rows.append(
            [
                str(own["batch"]),
                f"{own['median_ms']:.2f} ms",
                f"{own['low_ms']:.2f} to {own['high_ms']:.2f} ms",
                f"{own['median_ms'] / own['batch']:.3f} ms",
                str(own["calls"]),
                f"{own['compile_seconds']:.1f} s",
            ]
        )
    title = f"latency on {latency['kind']} ({latency['platform']}), {latency['dtype']}"
    return "\n".join([title, *aligned(rows)])


def millions(value: int, digits: int = 1) -> str:
    """524296960 as 524.3M."""
    return f"{value / 1e6:.{digits}f}M"


def _sizes(macro: cost.Macro) -> str:
    return (
        f"width {macro.width}, {macro.image_size} × {macro.image_size} × "
        f"{macro.channels} images, {macro.num_classes} classes, stem {macro.stem}"
        + (f", {macro.cells} cells" if macro.cells else "")
    )


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
