"""`architecture.json`: reads and checks one."""

import dataclasses
import os
import reprlib
from collections.abc import Collection
from typing import Any

from ifnas_jax import files, storage
from ifnas_jax.architecture import cost
from ifnas_jax.architecture.kept import (
    FORMAT,
    VERSION,
    Architecture,
    KeptEdge,
    KeptStage,
    check_graph,
    check_inputs_kept,
    used_operators,
)
from ifnas_jax.errors import InputError
from ifnas_jax.operators.names import check_operator
from ifnas_jax.spaces import make_space
from ifnas_jax.spaces.graph import MOST

_KEYS = ("format", "version", "space", "num_precursors", "stages", "macro", "cost")


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
    check_graph(architecture)
    check_inputs_kept(architecture)
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
    """Types and names; `check_graph` does the rest."""
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
    operators = used_operators(edges)
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
            check_operator(op)
        src, dst = _get(edge, "src", int), _get(edge, "dst", int)
        edges.append(KeptEdge(src, dst, tuple(ops)))
    return tuple(edges)
