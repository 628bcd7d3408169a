"""A discrete architecture: which operators sit on which edges of a space.

Two forms. Inside a search, one bool array [N, L, operators] for each stage, called
`kept` (`spaces/graph.py` says how it is indexed). Outside, an `Architecture`, which
reads and writes `architecture.json`. No JAX: a found architecture can be read,
priced and drawn in a second.
"""

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ifnas_jax import cost, files
from ifnas_jax.errors import InputError
from ifnas_jax.spaces.graph import Space

FORMAT, VERSION = "ifnas-architecture", 1


@dataclasses.dataclass(frozen=True)
class KeptEdge:
    """A connection and its operators, in the order of the space's operators."""

    src: int
    dst: int
    ops: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class KeptStage:
    """A stage: how many nodes it was searched with, and the edges that it keeps."""

    num_nodes: int
    edges: tuple[KeptEdge, ...]

    def depth(self) -> int:
        """Edges on the longest path from node 0 to the last node."""
        longest = {0: 0}
        for edge in self.edges:
            if edge.src in longest:
                path = longest[edge.src] + 1
                longest[edge.dst] = max(longest.get(edge.dst, 0), path)
        return longest[self.num_nodes]

    def nodes(self) -> tuple[int, ...]:
        """The searched nodes that were not deleted, in order."""
        return tuple(sorted({edge.dst for edge in self.edges}))

    def inputs(self, node: int) -> tuple[KeptEdge, ...]:
        """The edges that end in `node`, the farthest first."""
        return tuple(edge for edge in self.edges if edge.dst == node)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A network of a space, with the sizes at which it is meant to be trained."""

    space: str
    num_precursors: int
    stages: tuple[KeptStage, ...]
    macro: cost.Macro

    def cost(self) -> cost.Cost:
        """MAdds for one image and parameters."""
        kept = [
            np.array(
                [[op in edge.ops for op in self.operators] for edge in stage.edges]
            )
            for stage in self.stages
        ]
        return cost.network_cost(self.macro, self.operators, kept)

    @property
    def operators(self) -> tuple[str, ...]:
        """Names of the operators that are used anywhere, sorted."""
        return tuple(
            sorted({op for s in self.stages for edge in s.edges for op in edge.ops})
        )

    def depth_per_stage(self) -> tuple[int, ...]:
        """The longest path through each stage; the network's depth is their sum."""
        return tuple(stage.depth() for stage in self.stages)

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
            "space": self.space,
            "num_precursors": self.num_precursors,
            "stages": [
                {
                    "nodes": stage.num_nodes,
                    "edges": [
                        {"src": e.src, "dst": e.dst, "ops": list(e.ops)}
                        for e in stage.edges
                    ],
                }
                for stage in self.stages
            ],
            "macro": dataclasses.asdict(self.macro),
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
    for stage, array in zip(space.stages, delete_unread(kept), strict=True):
        edges = []
        for src, dst in stage.edges():
            row = array[dst - 1, dst - src - 1]
            ops = tuple(np.array(space.operators)[row].tolist())
            if ops:
                edges.append(KeptEdge(src, dst, ops))
        stages.append(KeptStage(stage.num_nodes, tuple(edges)))
    architecture = Architecture(space.name, space.num_precursors, tuple(stages), macro)
    _check_graph(architecture)
    return architecture


def delete_unread(kept: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Removes the inputs of nodes that nobody reads; deletion cascades.

    A stage's last node is its output and always stays.
    """
    result = []
    for stage in kept:
        stage = stage.copy()
        num_nodes, num_precursors, _ = stage.shape
        for node in range(num_nodes - 1, 0, -1):
            readers = range(node + 1, min(node + num_precursors, num_nodes) + 1)
            if not any(
                stage[reader - 1, reader - node - 1].any() for reader in readers
            ):
                stage[node - 1] = False
        result.append(stage)
    return tuple(result)


def load(path: str | os.PathLike) -> Architecture:
    """Reads and checks an `architecture.json`.

    Raises:
      InputError: the file is missing, is not JSON, or describes no valid network.
    """
    path = os.fspath(path)
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except OSError as error:
        raise InputError(
            f"architecture {path!r} cannot be read ({error.strerror}); name a file "
            "that a search has written."
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"architecture {path!r} is not JSON ({error}); name a file that a search "
            "has written."
        ) from error
    try:
        return from_json(data)
    except InputError as error:
        raise InputError(f"architecture {path!r}: {error}") from error


def from_json(data: Any) -> Architecture:
    """Checks the object of an `architecture.json` and returns what it describes.

    Raises:
      InputError: a key is missing or of the wrong type, an operator is unknown, an
        edge is longer than L or out of place, a node lacks an input or a reader, or
        the stored cost is not the cost of this architecture.
    """
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InputError(f'"format" is not "{FORMAT}", so this is no architecture.')
    if type(data.get("version")) is not int or data["version"] != VERSION:
        raise InputError(
            f'"version" is {data.get("version")!r}; this release reads {VERSION}.'
        )
    architecture = _parse(data)
    _check_graph(architecture)
    stored, actual = _get(data, "cost", dict), architecture.to_json()["cost"]
    for key in (*actual, *stored):
        # As text, or true would pass for 1.
        if json.dumps(stored.get(key)) == json.dumps(actual.get(key)):
            continue
        raise InputError(
            f'"cost" says {key} = {stored.get(key)!r}, but this architecture has '
            f"{actual.get(key)!r}; correct the entry, or the edges if they were edited."
        )
    return architecture


def _get(data: Any, key: str, kind: type) -> Any:
    """`data[key]`, which must be of a JSON type."""
    if not isinstance(data, dict) or key not in data:
        raise InputError(f'"{key}" is missing; add it.')
    value = data[key]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InputError(f'"{key}" is {value!r}; it must be of type {kind.__name__}.')
    return value


def _parse(data: dict[str, Any]) -> Architecture:
    """Types and names; `_check_graph` does the rest."""
    num_precursors = _get(data, "num_precursors", int)
    if num_precursors < 1:
        raise InputError(f'"num_precursors" is {num_precursors}; it is at least 1.')
    stages = []
    for stage in _get(data, "stages", list):
        edges = []
        for edge in _get(stage, "edges", list):
            ops = _get(edge, "ops", list)
            for op in ops:
                if not isinstance(op, str) or op not in cost.OPERATORS:
                    raise InputError(
                        f"operator {op!r} is unknown; choose from "
                        f"{sorted(cost.OPERATORS)}."
                    )
            src, dst = _get(edge, "src", int), _get(edge, "dst", int)
            edges.append(KeptEdge(src, dst, tuple(ops)))
        stages.append(KeptStage(_get(stage, "nodes", int), tuple(edges)))
    if len(stages) != 3:
        raise InputError(f'"stages" has {len(stages)} entries; there are three stages.')
    macro = _get(data, "macro", dict)
    fields = [field.name for field in dataclasses.fields(cost.Macro)]
    for key in macro:
        if key not in fields:
            raise InputError(f'"macro" has an unknown key {key!r}; remove it.')
    sizes = {key: _get(macro, key, str if key == "stem" else int) for key in fields}
    return Architecture(
        _get(data, "space", str), num_precursors, tuple(stages), cost.Macro(**sizes)
    )


def _check_graph(architecture: Architecture) -> None:
    """Every edge in its place, every node with an input and a reader."""
    limit = architecture.num_precursors
    for index, stage in enumerate(architecture.stages, start=1):
        if stage.num_nodes < 1:
            raise InputError(
                f"stage {index} has {stage.num_nodes} nodes; give 1 or more."
            )
        previous = (0, -1)
        for edge in stage.edges:
            name = f"stage {index}: edge ({edge.src}, {edge.dst})"
            if not 0 <= edge.src < edge.dst <= stage.num_nodes:
                raise InputError(
                    f"{name} does not go forward between nodes 0 and "
                    f"{stage.num_nodes}; correct its ends."
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


def _check_nodes(index: int, stage: KeptStage) -> None:
    """No node is read without having an input, or has an input without a reader."""
    written = {edge.dst for edge in stage.edges}
    read = {edge.src for edge in stage.edges} | {stage.num_nodes}
    for node in sorted(read - written - {0}):
        raise InputError(
            f"stage {index}: node {node} is used but has no input; add an edge to it."
        )
    for node in sorted(written - read):
        raise InputError(
            f"stage {index}: node {node} has inputs but nobody reads it; remove its "
            "edges."
        )
