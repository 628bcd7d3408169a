"""Facts about spaces and architectures, as JSON objects and as text."""

import collections
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ifnas_jax import cost
from ifnas_jax.architecture import Architecture, KeptEdge
from ifnas_jax.spaces import interleaving
from ifnas_jax.spaces.graph import Edge, Space

# The plain chain: every direct connection, with this operator.
_CHAIN_OPERATOR = "sep_conv_3x3"

Facts = Mapping[str, Any]


def describe_space(
    space: Space, macro: cost.Macro, modulus: int, interleaved: int = 0, seed: int = 0
) -> dict[str, Any]:
    """What `inspect --config --json` prints.

    Args:
      space: the space.
      macro: the sizes at which networks are priced.
      modulus: of the sampling groups.
      interleaved: connections added to each node of a group (Table 5).
      seed: of those additions.
    """
    groups = [interleaving.sampling_groups(stage, modulus) for stage in space.stages]
    whole = cost.network_cost(macro, space.operators, space.full())
    chain_edges = [np.ones((nodes, 1), bool) for nodes in space.nodes]
    chain = cost.network_cost(macro, (_CHAIN_OPERATOR,), chain_edges)
    pairs = []
    for index in range(modulus):
        added = added_connections(space, groups, index, interleaved, seed)
        total = 0
        for stage, own, extra in zip(space.stages, groups, added, strict=True):
            active = interleaving.active_connections(stage, own[index])
            total += interleaving.count_interleaved(active + extra)
        pairs.append(total)
    return {
        "edges": space.num_edges,
        "log10_size": math.log10(space.size()),
        "log10_size_paper": math.log10(space.size_paper()),
        "supernet_madds": whole.madds,
        "chain_madds": chain.madds,
        "chain_params": chain.params,
        "groups": [[list(group) for group in own] for own in groups],
        "interleaved_pairs": pairs,
    }


def added_connections(
    space: Space,
    groups: Sequence[Sequence[Sequence[int]]],
    index: int,
    count: int,
    seed: int,
) -> list[tuple[Edge, ...]]:
    """For each stage, what is added to group `index` on purpose."""
    return [
        interleaving.added_connections(stage, own[index], count, seed)
        for stage, own in zip(space.stages, groups, strict=True)
    ]


def describe_architecture(architecture: Architecture) -> dict[str, Any]:
    """What `inspect --architecture --json` prints."""
    total = architecture.cost()
    depth = architecture.depth_per_stage()
    edges = [edge for stage in architecture.stages for edge in stage.edges]
    distances = collections.Counter(edge.dst - edge.src for edge in edges)
    return {
        "madds": total.madds,
        "params": total.params,
        "depth": sum(depth),
        "depth_per_stage": list(depth),
        "ops": _count_operators(edges),
        "precursor_histogram": {
            str(distance): distances[distance]
            for distance in range(1, architecture.num_precursors + 1)
        },
        "interleaved_pairs": sum(
            _interleaved(stage.edges) for stage in architecture.stages
        ),
    }


def _count_operators(edges: Sequence[KeptEdge]) -> dict[str, int]:
    """How often each known operator is there."""
    return {name: sum(name in edge.ops for edge in edges) for name in cost.OPERATORS}


def _interleaved(edges: Sequence[KeptEdge]) -> int:
    return interleaving.count_interleaved((edge.src, edge.dst) for edge in edges)


def space_table(space: Space, macro: cost.Macro, facts: Facts) -> str:
    """`describe_space`'s facts for a reader."""
    modulus = len(facts["interleaved_pairs"])
    lines = _aligned(
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
    rows = [["group", "stage 1", "stage 2", "stage 3", "interleaved pairs"]]
    for index, pairs in enumerate(facts["interleaved_pairs"]):
        nodes = [" ".join(map(str, own[index])) or "-" for own in facts["groups"]]
        rows.append([str(index), *nodes, str(pairs)])
    title = f"sampling groups (nodes n by n mod {modulus})"
    return "\n".join([*lines, "", title, *_aligned(rows)])


def architecture_table(architecture: Architecture, facts: Facts) -> str:
    """`describe_architecture`'s facts for a reader."""
    depth = " + ".join(map(str, facts["depth_per_stage"]))
    lines = _aligned(
        [
            ["space", f"{architecture.space}, L = {architecture.num_precursors}"],
            ["MAdds", millions(facts["madds"])],
            ["parameters", millions(facts["params"], 2)],
            ["depth", f"{facts['depth']} ({depth})"],
            ["priced at", _sizes(architecture.macro)],
        ]
    )
    rows = [["stage", "nodes", "connections", *facts["ops"], "interleaved pairs"]]
    for index, stage in enumerate(architecture.stages, start=1):
        rows.append(
            [
                str(index),
                f"{len(stage.nodes())} of {stage.num_nodes}",
                str(len(stage.edges)),
                *map(str, _count_operators(stage.edges).values()),
                str(_interleaved(stage.edges)),
            ]
        )
    rows.append(
        [
            "all",
            f"{sum(len(stage.nodes()) for stage in architecture.stages)} of "
            f"{sum(stage.num_nodes for stage in architecture.stages)}",
            str(sum(facts["precursor_histogram"].values())),
            *map(str, facts["ops"].values()),
            str(facts["interleaved_pairs"]),
        ]
    )
    histogram = [
        ["precursor", *(f"pre-{key}" for key in facts["precursor_histogram"])],
        ["connections", *map(str, facts["precursor_histogram"].values())],
    ]
    return "\n".join([*lines, "", *_aligned(rows), "", *_aligned(histogram)])


def millions(value: int, digits: int = 1) -> str:
    """524296960 as 524.3M."""
    return f"{value / 1e6:.{digits}f}M"


def _sizes(macro: cost.Macro) -> str:
    return (
        f"width {macro.width}, {macro.image_size} × {macro.image_size} × "
        f"{macro.channels} images, {macro.num_classes} classes, stem {macro.stem}"
    )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
