"""A discrete architecture: which operators sit on which edges of a space.

Two forms. Inside a search, one bool array [N, L, operators] for each stage, called
`kept` (`spaces/graph.py` says how it is indexed). Outside, an `Architecture`.
"""

import dataclasses
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ifnas_jax import files
from ifnas_jax.architecture import cost
from ifnas_jax.errors import InputError
from ifnas_jax.operators.names import known_and
from ifnas_jax.spaces.graph import Space, Stage

FORMAT, VERSION = "ifnas-architecture", 1


@dataclasses.dataclass(frozen=True)
class KeptEdge:
    """A connection and its operators, in the order of the space's operators."""

    src: int
    dst: int
    ops: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class KeptStage:
    """A stage: the graph that was searched, and the edges that it keeps."""

    graph: Stage
    edges: tuple[KeptEdge, ...]

    def depth(self) -> int:
        """Edges on the longest path from an input to an output."""
        longest = {node: 0 for node in range(self.graph.first, 1)}
        for edge in self.edges:
            if edge.src in longest:
                path = longest[edge.src] + 1
                longest[edge.dst] = max(longest.get(edge.dst, 0), path)
        return max(longest[node] for node in self.graph.outputs())

    def nodes(self) -> tuple[int, ...]:
        """The searched nodes that were not deleted, in order."""
        return tuple(sorted({edge.dst for edge in self.edges}))

    def inputs(self, node: int) -> tuple[KeptEdge, ...]:
        """The edges that end in `node`, the farthest first."""
        return tuple(edge for edge in self.edges if edge.dst == node)

    def kept(self, operators: Sequence[str]) -> np.ndarray:
        """The pairs that are there: bool [N, L, operators]."""
        array = np.zeros((*self.graph.valid().shape, len(operators)), bool)
        for edge in self.edges:
            row = [op in edge.ops for op in operators]
            array[edge.dst - 1, edge.dst - edge.src - 1] = row
        return array


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A network of a space, with the sizes at which it is meant to be trained."""

    space: Space
    stages: tuple[KeptStage, ...]
    macro: cost.Macro

    def cost(self) -> cost.Cost:
        """MAdds for one image and parameters."""
        kept = [stage.kept(self.space.operators) for stage in self.stages]
        return cost.network_cost(self.space, self.macro, kept)

    def depth_per_stage(self) -> tuple[int, ...]:
        """The longest path through each stage."""
        return tuple(stage.depth() for stage in self.stages)

    def depth(self) -> int:
        """The longest paths through the stages at all positions, added up."""
        depths = self.depth_per_stage()
        positions = self.space.positions(self.macro.cells)
        return sum(depths[position.stage] for position in positions)

    def with_macro(self, **changes) -> "Architecture":
        """The same architecture at another width, image size, or class count."""
        return dataclasses.replace(
            self, macro=dataclasses.replace(self.macro, **changes)
        )

    def to_json(self) -> dict[str, Any]:
        """The object that `architecture.json` holds."""
        total = self.cost()
        return {
            "format": FORMAT,
            "version": VERSION,
            "space": self.space.name,
            "num_precursors": self.space.num_precursors,
            "stages": [
                {
                    "nodes": stage.graph.num_nodes,
                    "edges": [
                        {"src": e.src, "dst": e.dst, "ops": list(e.ops)}
                        for e in stage.edges
                    ],
                }
                for stage in self.stages
            ],
            "macro": {
                key: value
                for key, value in dataclasses.asdict(self.macro).items()
                if key != "cells" or self.space.has_cells
            },
            "cost": {
                "madds": total.madds,
                "params": total.params,
                "depth": list(self.depth_per_stage()),
            },
        }

    def save(self, path: str | os.PathLike) -> None:
        """Writes `architecture.json`, whole or not at all."""
        files.write_json(path, self.to_json())


def from_kept(
    space: Space, kept: Sequence[np.ndarray], macro: cost.Macro
) -> Architecture:
    """The architecture that keeps the given pairs; unread nodes are deleted.

    Args:
      space: the space that was searched.
      kept: a bool [N, L, operators] for each stage.
      macro: the sizes of the network.

    Raises:
      InputError: a node that is read, or the last one, has no input.
    """
    stages = []
    arrays = delete_unread(space.stages, kept)
    for stage, array in zip(space.stages, arrays, strict=True):
        edges = []
        for src, dst in stage.edges():
            row = array[dst - 1, dst - src - 1]
            ops = tuple(np.array(space.operators)[row].tolist())
            if ops:
                edges.append(KeptEdge(src, dst, ops))
        stages.append(KeptStage(stage, tuple(edges)))
    # Which operators there were to choose from is not part of what was found.
    used = used_operators(stage.edges for stage in stages)
    space = dataclasses.replace(space, operators=used)
    architecture = Architecture(space, tuple(stages), macro)
    check_graph(architecture)
    return architecture


def used_operators(edges: Iterable[Sequence[KeptEdge]]) -> tuple[str, ...]:
    """Those of a network's space: the known ones, and one's own that it has."""
    return known_and({op for own in edges for edge in own for op in edge.ops})


def delete_unread(
    stages: Sequence[Stage], kept: Sequence[np.ndarray]
) -> tuple[np.ndarray, ...]:
    """Removes the inputs of nodes that nobody reads; deletion cascades.

    A stage's output, its last node or all nodes of a cell, always stays.
    """
    result = []
    for graph, stage in zip(stages, kept, strict=True):
        stage = stage.copy()
        num_nodes, num_precursors, _ = stage.shape
        outputs = graph.outputs()
        for node in range(num_nodes, 0, -1):
            readers = range(node + 1, min(node + num_precursors, num_nodes) + 1)
            if node not in outputs and not any(
                stage[reader - 1, reader - node - 1].any() for reader in readers
            ):
                stage[node - 1] = False
        result.append(stage)
    return tuple(result)


def check_graph(architecture: Architecture) -> None:
    """Every edge in its place, every node with an input and a reader."""
    limit = architecture.space.num_precursors
    for index, stage in enumerate(architecture.stages, start=1):
        graph, previous = stage.graph, (0, -(10**9))
        for edge in stage.edges:
            name = f"stage {index}: edge ({edge.src}, {edge.dst})"
            in_place = edge.src < edge.dst and 1 <= edge.dst <= graph.num_nodes
            if not in_place or edge.src < graph.first:
                raise InputError(
                    f"{name} does not go forward between nodes {graph.first} and "
                    f"{graph.num_nodes}; correct its ends."
                )
            if edge.dst - edge.src > limit:
                raise InputError(
                    f"{name} is longer than num_precursors = {limit}; remove it, or "
                    "raise num_precursors."
                )
            if not edge.ops or len(set(edge.ops)) != len(edge.ops):
                raise InputError(
                    f"{name} has operators {list(edge.ops)}; give at least one, and "
                    "none twice."
                )
            if (edge.dst, edge.src) <= previous:
                raise InputError(
                    f"{name} is out of order or there twice; sort by (dst, src)."
                )
            previous = (edge.dst, edge.src)
        _check_nodes(index, stage)


def check_inputs_kept(architecture: Architecture) -> None:
    """Where nodes keep a number of inputs, all do, with one operator each."""
    most = architecture.space.inputs_kept
    for index, stage in enumerate(architecture.stages, start=1):
        for node in stage.nodes() if most else ():
            edges = stage.inputs(node)
            count = min(most, len(stage.graph.precursors(node)))
            if [len(edge.ops) for edge in edges] != [1] * count:
                raise InputError(
                    f"stage {index}: node {node} has {len(edges)} inputs with "
                    f"{sum(len(edge.ops) for edge in edges)} operators; in space "
                    f'"{architecture.space.name}" it has {count}, with one operator '
                    "each."
                )


def _check_nodes(index: int, stage: KeptStage) -> None:
    """No node is read without having an input, or has an input without a reader."""
    written = {edge.dst for edge in stage.edges}
    read = {edge.src for edge in stage.edges} | set(stage.graph.outputs())
    for node in sorted(node for node in read - written if node > 0):
        raise InputError(
            f"stage {index}: node {node} is used but has no input; add an edge to it."
        )
    for node in sorted(written - read):
        raise InputError(
            f"stage {index}: node {node} has inputs but nobody reads it; remove its "
            "edges."
        )
