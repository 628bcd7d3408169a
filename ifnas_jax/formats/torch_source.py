"""One readable, standalone PyTorch file for an architecture, and its weights.

The file is the architecture as a literal and those classes of `torch_parts.py` and
`torch_network.py` that it needs. Neither needs PyTorch to be made.
"""

import ast
import functools
import pathlib
import re
import textwrap
import types
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ifnas_jax.architecture import Architecture, KeptStage
from ifnas_jax.errors import InputError

_TEXT = "\n".join(
    pathlib.Path(__file__).with_name(name).read_text("utf-8")
    for name in ("torch_parts.py", "torch_network.py")
)
_STEMS = {
    ("small", False): "SmallStem",
    ("imagenet", False): "ImageNetStem",
    ("small", True): "SmallCellStem",
    ("imagenet", True): "ImageNetCellStem",
}
_HEADER = '''"""{summary}

    from safetensors.torch import load_file
    from network import make_network

    network = make_network()
    network.load_state_dict(load_file("weights.safetensors"))
    logits = network.eval()(images)

Images are float32 [batch, {channels}, {size}, {size}]: values from 0 to 1, minus MEAN,
divided by STD. This file needs PyTorch alone; its weights are read by safetensors.
"""

import torch
import torch.nn.functional as F
from torch import nn

NUM_CLASSES = {classes}
CHANNELS = {channels}
IMAGE_SIZE = {size}
MEAN, STD = {mean}, {std}
WIDTH = {width}

# What was found. A node is the sum of these: (the node that is read, the operator).
# {inputs}
{literal}


def make_network(num_classes=NUM_CLASSES, auxiliary={auxiliary}):
    """The network, not trained.

    In training mode an auxiliary head makes its output a pair of logits, the head's
    second.
    """
    stem = {stem}(CHANNELS, WIDTH)
    return {root}(stem, {stages}, WIDTH, num_classes, auxiliary)
'''


def network_source(
    architecture: Architecture,
    summary: str,
    mean: Sequence[float],
    std: Sequence[float],
    auxiliary: bool,
) -> str:
    """The text of `network.py`, whose `make_network()` makes the network.

    Args:
      architecture: of the network.
      summary: the first line of its docstring.
      mean: of each channel, of values in [0, 1].
      std: the same.
      auxiliary: whether it has the auxiliary head unless one says.

    Raises:
      InputError: an operator has no counterpart in PyTorch.
    """
    cells, macro = architecture.space.has_cells, architecture.macro
    parts = _parts()
    for operator in without_counterpart(architecture):
        raise InputError(
            f"operator {operator!r} has no counterpart in PyTorch; export with "
            "--format=stablehlo."
        )
    inputs = "Node 0 is the stage's input."
    if cells:
        inputs = (
            "Node 0 is the output of the cell before, node -1 of the one before it."
        )
    head = _HEADER.format(
        summary=summary,
        classes=macro.num_classes,
        channels=macro.channels,
        size=macro.image_size,
        width=macro.width,
        mean=tuple(mean),
        std=tuple(std),
        inputs=inputs,
        literal=_cells(architecture) if cells else _stages(architecture),
        auxiliary=auxiliary,
        stem=_STEMS[macro.stem, cells],
        root="CellNetwork" if cells else "Chain",
        stages="CELLS" if cells else "STAGES",
    )
    return "\n\n\n".join([head.rstrip(), *_needed(parts, ast.parse(head))]) + "\n"


def without_counterpart(architecture: Architecture) -> list[str]:
    """The operators of an architecture that PyTorch has none for, sorted."""
    known = {key.value for key in _parts()["OPERATORS"].value.keys}
    edges = (edge for stage in architecture.stages for edge in stage.edges)
    return sorted({op for edge in edges for op in edge.ops} - known)


def load(source: str) -> types.ModuleType:
    """The module of a text that `network_source` returned. Needs PyTorch."""
    module = types.ModuleType("network")
    exec(compile(source, "network.py", "exec"), module.__dict__)
    return module


@functools.cache
def _parts() -> dict[str | None, ast.stmt]:
    """The classes and constants of `_TEXT` by name, in its order."""
    return {_defined(node): node for node in ast.parse(_TEXT).body}


def _defined(node: ast.stmt) -> str | None:
    """The name of a class, or of a constant."""
    if isinstance(node, ast.Assign):
        return node.targets[0].id
    return getattr(node, "name", None)


def _needed(parts: Mapping[str, ast.stmt], user: ast.Module) -> list[str]:
    """The text of what is used, and of what that uses, in the file's order."""
    lines, found, new = _TEXT.splitlines(), set(), [user]
    while new:
        used = {x.id for node in new for x in ast.walk(node) if isinstance(x, ast.Name)}
        names = (used & parts.keys()) - found
        found |= names
        new = [parts[name] for name in names]
    return [
        "\n".join(lines[node.lineno - 1 : node.end_lineno])
        for name, node in parts.items()
        if name in found
    ]


def _stages(architecture: Architecture) -> str:
    stages = (f"{textwrap.indent(_nodes(s), '    ')},\n" for s in architecture.stages)
    return f"STAGES = [\n{''.join(stages)}]"


def _cells(architecture: Architecture) -> str:
    """Cells that are one stage by name: there are two kinds of them."""
    space, names = architecture.space, ("NORMAL", "REDUCTION")
    if not space.shared:
        return _stages(architecture).replace("STAGES", "CELLS", 1)
    kinds = [
        f"{name} = {_nodes(stage)}"
        for name, stage in zip(names, architecture.stages, strict=True)
    ]
    positions = space.positions(architecture.macro.cells)
    cells = "".join(f"    {names[position.stage]},\n" for position in positions)
    return "\n".join([*kinds, f"CELLS = [\n{cells}]"])


def _nodes(stage: KeptStage) -> str:
    """{node: [(source, operator), ...]}, a node a line where that is short enough."""
    lines = []
    for node in stage.nodes():
        terms = [
            f'({edge.src}, "{op}")' for edge in stage.inputs(node) for op in edge.ops
        ]
        line = f"    {node}: [{', '.join(terms)}],"
        if len(line) > 84:
            rows = "".join(f"        {term},\n" for term in terms)
            line = f"    {node}: [\n{rows}    ],"
        lines.append(line)
    return "\n".join(["{", *lines, "}"])


_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "mean": "running_mean",
    "var": "running_var",
}


def state_dict(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The state of the network that `network.py` makes, by PyTorch's names.

    Args:
      variables: "params" and "batch_stats" of the Flax network.
    """
    state = {}
    for tree in (variables["params"], variables["batch_stats"]):
        for path, array in _flat(tree):
            state[_name(path)] = np.ascontiguousarray(_transposed(path, array))
    return state


def _flat(tree: Mapping[str, Any], path: tuple[str, ...] = ()):
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, (*path, key))
        else:
            yield (*path, key), np.asarray(value)


def _name(path: tuple[str, ...]) -> str:
    *modules, leaf = path
    name = ".".join([*modules, _LEAVES.get(leaf, leaf)])
    name = re.sub(r"^input(\d+)\.(reduction\.)?", _numbered("inputs"), name)
    name = re.sub(r"^stage(\d+)_", _numbered("stages", "operators."), name)
    return name.replace("auxiliary.Conv_0.", "auxiliary.conv1.")


def _numbered(what: str, then: str = ""):
    """A module of a list, which counts from 0."""
    return lambda match: f"{what}.{int(match[1]) - 1}.{then}"


def _transposed(path: tuple[str, ...], array: np.ndarray) -> np.ndarray:
    """Kernels as PyTorch has them: outputs first, pixels last."""
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    if array.ndim == 2:
        array = array.T
        return array if path[-2] == "dense" else array[:, :, None, None]
    return array
