"""A discrete architecture: which operators sit on which edges of a space.

Two forms. Inside a search, one bool array [N, L, operators] for each stage, called
`kept` (`spaces/graph.py` says how it is indexed). Outside, an `Architecture`, which
reads and writes `architecture.json`. No JAX: a found architecture can be read,
priced and drawn in a second.
"""

import dataclasses
import os
import reprlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from ifnas_jax import cost, files, storage
from ifnas_jax.errors import InputError
from ifnas_jax.spaces import make_space
from ifnas_jax.spaces.graph import MOST, Space, Stage

FORMAT, VERSION = "ifnas-architecture", 1
_KEYS = ("format", "version", "space", "num_precursors", "stages", "macro", "cost")


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
    space = dataclasses.replace(space, operators=_operators(s.edges for s in stages))
    architecture = Architecture(space, tuple(stages), macro)
    _check_graph(architecture)
    return architecture


def _operators(edges: Iterable[Sequence[KeptEdge]]) -> tuple[str, ...]:
    """Those of a network's space: the known ones, and one's own that it has."""
    return cost.known_and({op for own in edges for edge in own for op in edge.ops})


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


def load(path: str | os.PathLike) -> Architecture:
    """Reads and checks an `architecture.json`.

    Raises:
      InputError: the file is missing, is not JSON, or describes no valid network.
    """
    path = os.fspath(path)
    try:
        data = files.parse_json(storage.read_bytes(path, storage.SMALL))
    except OSError as error:
        raise InputError(
            f"architecture {path!r} cannot be read ({error.strerror}); name a file "
            "that a search has written."
        ) from error
    except ValueError as error:
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
            f'"version" is {_short(data.get("version"))}; this release reads {VERSION}.'
        )
    architecture = _parse(data)
    _check_graph(architecture)
    _check_inputs_kept(architecture)
    stored, actual = _get(data, "cost", dict), architecture.to_json()["cost"]
    _check_keys("cost", stored, actual)
    for key in actual:
        if files.same(stored.get(key), actual[key]):
            continue
        raise InputError(
            f'"cost" says {key} = {_short(stored.get(key))}, but this architecture '
            f"has {actual[key]!r}; correct the entry, or the edges if they were edited."
        )
    return architecture


# Of what a file holds: a message is no place for all of it.
_short = reprlib.repr


def _check_keys(what: str, data: Any, known: Collection[str]) -> None:
    """Refuses what would be lost when the file is written again."""
    for key in data if isinstance(data, dict) else ():
        if key not in known:
            raise InputError(f'"{what}" has an unknown key {_short(key)}; remove it.')


def _get(data: Any, key: str, kind: type) -> Any:
    """`data[key]`, which must be of a JSON type."""
    if not isinstance(data, dict) or key not in data:
        raise InputError(f'"{key}" is missing; add it.')
    value = data[key]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InputError(
            f'"{key}" is {_short(value)}; it must be of type {kind.__name__}.'
        )
    return value


def _parse(data: dict[str, Any]) -> Architecture:
    """Types and names; `_check_graph` does the rest."""
    _check_keys("architecture", data, _KEYS)
    num_precursors = _get(data, "num_precursors", int)
    if not 1 <= num_precursors <= MOST:
        raise InputError(
            f'"num_precursors" is {_short(num_precursors)}; it is at least 1 and at '
            f"most {MOST}."
        )
    stages = _get(data, "stages", list)
    macro = _parse_macro(data)
    nodes = [_get(stage, "nodes", int) for stage in stages]
    for index, count in enumerate(nodes, start=1):
        if not 1 <= count <= MOST:
            raise InputError(
                f"stage {index} has {_short(count)} nodes; give at least 1 and at most "
                f"{MOST}."
            )
    if macro.cells > MOST:
        raise InputError(f'"cells" is {_short(macro.cells)}; give at most {MOST}.')
    name = _get(data, "space", str)
    if name == "lchain" and len(stages) != 3:
        raise InputError(f'"stages" has {len(stages)} entries; there are three stages.')
    if name != "lchain":
        if len(set(nodes)) != 1:
            raise InputError(
                f'"stages" have {nodes} nodes; all cells have as many, and there is at '
                "least one: correct the entries."
            )
        nodes = nodes[:1]
    edges = [_parse_edges(stage) for stage in stages]
    operators = _operators(edges)
    space = make_space(name, num_precursors, nodes, macro.cells, operators)
    if len(space.stages) != len(stages):
        raise InputError(
            f'"stages" has {len(stages)} entries; space "{name}" with {macro.cells} '
            f"cells has {len(space.stages)}."
        )
    kept = tuple(
        KeptStage(graph, own) for graph, own in zip(space.stages, edges, strict=True)
    )
    return Architecture(space, kept, macro)


def _parse_macro(data: dict[str, Any]) -> cost.Macro:
    macro = _get(data, "macro", dict)
    fields = [field.name for field in dataclasses.fields(cost.Macro)]
    if data.get("space") == "lchain":
        fields.remove("cells")
    _check_keys("macro", macro, fields)
    return cost.Macro(
        **{key: _get(macro, key, str if key == "stem" else int) for key in fields}
    )


def _parse_edges(stage: Any) -> tuple[KeptEdge, ...]:
    edges = []
    _check_keys("stages", stage, ("nodes", "edges"))
    for edge in _get(stage, "edges", list):
        _check_keys("edges", edge, ("src", "dst", "ops"))
        ops = _get(edge, "ops", list)
        for op in ops:
            cost.check_operator(op)
        src, dst = _get(edge, "src", int), _get(edge, "dst", int)
        edges.append(KeptEdge(src, dst, tuple(ops)))
    return tuple(edges)


def _check_graph(architecture: Architecture) -> None:
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


def _check_inputs_kept(architecture: Architecture) -> None:
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
