"""The text of `network.py`, and the names of its weights: without PyTorch."""

import ast

import pytest
from networks import random_architecture

from ifnas_jax.architecture.cost import Macro
from ifnas_jax.errors import InputError
from ifnas_jax.formats import torch_source
from ifnas_jax.spaces import darts, goldnas, lchain

CASES = {
    "lchain": (lchain(8, (12, 3, 2)), Macro(6, 7, 28, 1, "small")),
    "darts": (darts(), Macro(6, 7, 28, 1, "small", cells=4)),
    "goldnas": (goldnas(3, 3, 4), Macro(4, 7, 32, 3, "imagenet", cells=3)),
}


def source_of(case):
    space, macro = CASES[case]
    architecture = random_architecture(0, macro, space)
    one = (0.5,) * macro.channels
    text = torch_source.network_source(architecture, "Summary.", one, one, True)
    return architecture, text


def literals(text):
    """The constants of a module, evaluated one after the other."""
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name != "OPERATORS":
                found[name] = eval(ast.unparse(node.value), {}, dict(found))
    return found


@pytest.mark.parametrize("case", CASES)
def test_the_literal_is_the_architecture(case):
    architecture, text = source_of(case)
    found, space = literals(text), architecture.space
    stages = found["CELLS" if space.has_cells else "STAGES"]
    positions = space.positions(architecture.macro.cells)
    assert len(stages) == len(positions)
    for nodes, position in zip(stages, positions, strict=True):
        edges = architecture.stages[position.stage].edges
        assert [
            (source, node, operator)
            for node, terms in nodes.items()
            for source, operator in terms
        ] == [(edge.src, edge.dst, op) for edge in edges for op in edge.ops]
    assert (found["WIDTH"], found["NUM_CLASSES"]) == (architecture.macro.width, 7)


@pytest.mark.parametrize("case", CASES)
def test_the_file_is_short_and_stands_alone(case):
    _, text = source_of(case)
    tree = ast.parse(text)
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported == {"torch", "torch.nn.functional"}
    assert max(map(len, text.splitlines())) <= 88
    # What the other kind of network is made of is left out.
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    assert ("Chain" in classes) == ("Residual" in classes) == (case == "lchain")
    assert ("CellNetwork" in classes) == (case != "lchain")
    assert ("ImageNetCellStem" in classes) == (case == "goldnas")


def test_an_operator_without_counterpart_is_refused():
    architecture, _ = source_of("lchain")
    edge = architecture.stages[0].edges[0]
    object.__setattr__(edge, "ops", ("sep_conv_5x5",))
    with pytest.raises(InputError, match="'sep_conv_5x5' has no counterpart in"):
        torch_source.network_source(architecture, "", (0.5,), (0.5,), False)
