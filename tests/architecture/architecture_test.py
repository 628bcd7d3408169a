import copy
import json

import numpy as np
import pytest

from benchmarks.fuzz.faults import places
from ifnas_jax import architecture
from ifnas_jax.architecture import cost
from ifnas_jax.errors import InputError
from ifnas_jax.methods import draws
from ifnas_jax.spaces import darts, goldnas, lchain

MACRO = cost.Macro(4, 10, 32, 3, "small")
CELLS = cost.Macro(4, 10, 32, 3, "small", cells=5)


def random_architecture(seed):
    rng = np.random.default_rng(seed)
    space = lchain(4, (7, 5, 6))
    kept = []
    for stage in space.full():
        array = stage & (rng.random(stage.shape) < 0.4)
        for row, node in enumerate(stage):
            if not array[row].any():
                array[(row, *rng.choice(np.argwhere(node)))] = True
        kept.append(array)
    return architecture.from_kept(space, kept, MACRO)


def valid():
    """A small valid object of `architecture.json`: nodes (3, 1, 1), L = 2."""
    space = lchain(2, (3, 1, 1))
    return architecture.from_kept(space, space.full(), MACRO).to_json()


def random_cells(seed, kind):
    rng = np.random.default_rng(seed)
    if kind == "darts":
        space = darts()
        kept = draws.inputs(space, rng, 2, one_operator=True)
    else:
        space = goldnas(5, 3, 3)
        kept = draws.subsets(space, rng)
    return architecture.from_kept(space, kept, CELLS)


def valid_cells(kind):
    """A small valid object of `architecture.json`: cells of 2 nodes, L = 3."""
    space = darts(2, 3) if kind == "darts" else goldnas(3, 2, 3)
    macro, kept = cost.Macro(4, 10, 32, 3, "small", cells=3), space.full()
    if kind == "darts":  # Two inputs a node, with one operator each.
        kept = [stage & (np.arange(3) < 2)[:, None] & [True, False] for stage in kept]
    return architecture.from_kept(space, kept, macro).to_json()


def longest_path(stage, node):
    """By trying every path back to an input; None where there is none."""
    if node <= 0:
        return 0
    lengths = [longest_path(stage, edge.src) for edge in stage.inputs(node)]
    return max((1 + length for length in lengths if length is not None), default=None)


def kept_pairs(stage):
    return {(e.src, e.dst, op) for e in stage.edges for op in e.ops}


@pytest.mark.parametrize("kind", ["lchain", "darts", "goldnas"])
@pytest.mark.parametrize("seed", range(10))
def test_json_round_trip_keeps_object_and_bytes(seed, kind, tmp_path):
    chain = kind == "lchain"
    original = random_architecture(seed) if chain else random_cells(seed, kind)
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    original.save(first)
    loaded = architecture.load(first)
    loaded.save(second)
    assert loaded == original
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("seed", range(10))
def test_depth_is_the_longest_path(seed):
    found = random_architecture(seed)
    expected = tuple(
        longest_path(stage, stage.graph.num_nodes) for stage in found.stages
    )
    assert found.depth_per_stage() == expected
    assert found.depth() == sum(expected)


@pytest.mark.parametrize("seed", range(10))
def test_depth_of_cells_counts_every_position(seed):
    found = random_cells(seed, "darts")
    normal, reduction = (
        max(longest_path(stage, node) for node in range(1, 5)) for stage in found.stages
    )
    assert found.depth_per_stage() == (normal, reduction)
    # Cells 2 and 4 of 5 reduce.
    assert found.depth() == 3 * normal + 2 * reduction
    found = random_cells(seed, "goldnas")
    expected = tuple(
        max(longest_path(stage, node) for node in range(1, 4)) for stage in found.stages
    )
    assert found.depth_per_stage() == expected
    assert found.depth() == sum(expected)


@pytest.mark.parametrize("seed", range(10))
def test_only_unread_nodes_are_deleted(seed):
    rng = np.random.default_rng(seed)
    space = lchain(3, (6, 1, 1))
    full = space.full()[0]
    kept = full & (rng.random(full.shape) < 0.3)
    (after,) = architecture.delete_unread(space.stages[:1], [kept])
    # A node lives if the last one can be reached from it.
    alive, edges = {6}, kept.any(axis=2)
    for _ in range(6):
        alive |= {
            row - column
            for row, column in np.argwhere(edges).tolist()
            if row + 1 in alive
        }
    for node in range(1, 7):
        expected = kept[node - 1] if node in alive else np.zeros_like(kept[0])
        assert np.array_equal(after[node - 1], expected)


def test_deletion_cascades_and_spares_the_last_node():
    space = lchain(4, (5, 1, 1))
    kept = [np.zeros_like(stage) for stage in space.full()]
    kept[1][0, 0] = kept[2][0, 0] = True
    # The last node reads the input's neighbour; 2 -> 3 -> 4 is a dead end.
    kept[0][[0, 1, 2, 3, 4], [0, 0, 0, 0, 3], 0] = True
    found = architecture.from_kept(space, kept, MACRO)
    assert kept_pairs(found.stages[0]) == {
        (0, 1, "sep_conv_3x3"),
        (1, 5, "sep_conv_3x3"),
    }
    assert found.stages[0].nodes() == (1, 5)
    assert found.depth_per_stage() == (2, 1, 1)
    assert kept[0][3, 0, 0]  # the argument is left as it was


def test_from_kept_refuses_a_used_node_without_input():
    space = lchain(2, (3, 1, 1))
    kept = space.full()
    kept[0][1] = False
    with pytest.raises(InputError, match="stage 1: node 2 is used but has no input"):
        architecture.from_kept(space, kept, MACRO)
    kept = space.full()
    kept[2][0] = False
    with pytest.raises(InputError, match="stage 3: node 1 is used but has no input"):
        architecture.from_kept(space, kept, MACRO)


def test_cost_is_the_sum_over_kept_operators():
    found = random_architecture(3)
    total = cost.fixed_cost(found.space, MACRO)
    for stage, size, width in zip(found.stages, (32, 16, 8), (4, 8, 16), strict=True):
        for edge in stage.edges:
            if "sep_conv_3x3" in edge.ops:
                total += cost.sep_conv_3x3(size, width, stride=1)
    assert found.cost() == total
    assert found.with_macro(width=8).cost().madds > total.madds


def set_at(*path_and_value):
    *path, last, value = path_and_value

    def change(data):
        for key in path:
            data = data[key]
        data[last] = value

    return change


def delete(*path):
    *path, last = path

    def change(data):
        for key in path:
            data = data[key]
        del data[last]

    return change


EDGES = ("stages", 0, "edges")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_at("format", "onnx"), '"format" is not "ifnas-architecture"'),
        (set_at("version", 2), '"version" is 2; this release reads 1'),
        (set_at(*EDGES, 0, "ops", ["conv"]), "operator 'conv' is unknown; choose from"),
        (set_at(*EDGES, 0, "ops", [["x"]]), r"operator \['x'\] is unknown"),
        (set_at(*EDGES, 0, "ops", []), r"edge \(0, 1\) has operators \[\]"),
        (
            set_at(*EDGES, 0, "ops", ["skip_connect"] * 2),
            r"edge \(0, 1\) has operators .* none twice",
        ),
        (
            set_at(*EDGES, 3, "src", 0),
            r"edge \(0, 3\) is longer than num_precursors = 2",
        ),
        (set_at("num_precursors", 0), '"num_precursors" is 0; it is at least 1'),
        (set_at(*EDGES, 0, "dst", 0), r"edge \(0, 0\) does not go forward"),
        (set_at(*EDGES, 4, "dst", 4), r"edge \(2, 4\) does not go forward"),
        (delete(*EDGES, 0), "stage 1: node 1 is used but has no input"),
        (set_at("stages", 1, "edges", []), "stage 2: node 1 is used but has no input"),
        (
            lambda data: [delete(*EDGES, 3)(data), delete(*EDGES, 2)(data)],
            "stage 1: node 1 has inputs but nobody reads it",
        ),
        (
            lambda data: data["stages"][0]["edges"].reverse(),
            r"out of order or there twice; sort by \(dst, src\)",
        ),
        (
            lambda data: data["stages"][0]["edges"].insert(
                0, data["stages"][0]["edges"][0]
            ),
            r"edge \(0, 1\) is out of order or there twice",
        ),
        (set_at("stages", 0, "nodes", 0), "stage 1 has 0 nodes"),
        (delete("stages", 2), '"stages" has 2 entries; there are three'),
        (set_at("cost", "madds", 7), '"cost" says madds = 7, but .* has [1-9]'),
        (set_at("cost", "params", 7), '"cost" says params = 7'),
        (set_at("cost", "depth", [1, 1, 1]), '"cost" says depth = .1, 1, 1., but'),
        (delete("cost", "depth"), '"cost".*depth'),
        (set_at("cost", "speed", 3), '"cost".*speed'),
        (delete("cost"), '"cost" is missing'),
        (set_at(*EDGES, 0, "src", "0"), "\"src\" is '0'; it must be of type int"),
        (set_at(*EDGES, 0, "src", True), '"src" is True; it must be of type int'),
        (set_at("stages", {}), '"stages" is {}; it must be of type list'),
        (set_at("macro", "width", 4.0), '"width" is 4.0; it must be of type int'),
        (set_at("macro", "width", -4), "width is -4"),
        (set_at("macro", "stem", "big"), "stem is 'big'; choose one of"),
        (set_at("macro", "image_size", 30), "image_size is 30"),
        (set_at("macro", "depth", 3), "\"macro\" has an unknown key 'depth'"),
    ],
)
def test_each_fault_has_its_own_message(change, message, tmp_path):
    data = valid()
    change(data)
    path = tmp_path / "architecture.json"
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=message) as caught:
        architecture.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        (
            "darts",
            delete("stages", 1),
            '"stages" has 1 entries; space "darts" with 3 cells has 2',
        ),
        (
            "goldnas",
            set_at("macro", "cells", 4),
            '"stages" has 3 entries; space "goldnas" with 4 cells has 4',
        ),
        ("darts", set_at("macro", "cells", 2), "has 2 cells, but two of them reduce"),
        ("goldnas", set_at("macro", "cells", 2), "has 2 cells, but two of them reduce"),
        ("darts", set_at("macro", "cells", 10**9), '"cells" is 1000000000; give at'),
        ("darts", delete("macro", "cells"), '"cells" is missing; add it'),
        ("darts", set_at("macro", "width", 5), "width is 5, .* an even number"),
        (
            "darts",
            set_at(*EDGES, 0, "src", -2),
            r"edge \(-2, 1\) does not go forward between nodes -1 and 2",
        ),
        (
            "goldnas",
            set_at("stages", 1, "nodes", 1),
            r'"stages" have \[2, 1, 2\] nodes; all cells have as many',
        ),
        ("goldnas", set_at("stages", []), r'"stages" have \[\] nodes; .* at least one'),
        (
            "darts",
            delete(*EDGES, 0),
            "node 1 has 1 inputs with 1 operators; .* it has 2, with one operator each",
        ),
        (
            "darts",
            set_at(*EDGES, 2, "ops", ["sep_conv_3x3", "skip_connect"]),
            "node 2 has 2 inputs with 3 operators; .* it has 2, with one operator each",
        ),
        (
            "darts",
            lambda data: [delete(*EDGES, 0)(data) for _ in range(2)],
            "stage 1: node 1 is used but has no input",
        ),
        (
            "goldnas",
            set_at("num_precursors", 4),
            "space.num_precursors is 4, but the last of 2 nodes",
        ),
        ("darts", set_at("space", "nas"), "space.name is 'nas'; choose one of"),
        ("lchain", set_at("macro", "cells", 3), "\"macro\" has an unknown key 'cells'"),
    ],
)
def test_each_fault_of_cells_has_its_own_message(kind, change, message):
    data = valid() if kind == "lchain" else valid_cells(kind)
    change(data)
    with pytest.raises(InputError, match=message) as caught:
        architecture.from_json(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read .No such file"),
        (b"", "is not JSON"),
        (b'{"format": "ifnas-arch', "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", '"format" is not'),
        (b"3", '"format" is not'),
    ],
)
def test_what_is_no_architecture_file_is_refused(content, message, tmp_path):
    path = tmp_path / "architecture.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        architecture.load(path)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        architecture.load(tmp_path)


STRANGE = (
    *(None, True, False, -1, 0, 1, 2, 10**30, 1.0, 1.5, float("nan"), float("inf")),
    *("", "x", "skip_connect", [], [[]], [0], {}, {"src": 0}, [{}], ["skip_connect"]),
)


OBJECTS = {
    "lchain": valid(),
    "darts": valid_cells("darts"),
    "goldnas": valid_cells("goldnas"),
}


@pytest.mark.parametrize(
    ("kind", "place"),
    [(kind, place) for kind, data in OBJECTS.items() for place in places(data)],
    ids=str,
)
def test_strange_values_are_refused_or_kept_as_they_are(kind, place):
    changes = [delete(*place), *(set_at(*place, copy.copy(x)) for x in STRANGE)]
    for change in changes:
        data = copy.deepcopy(OBJECTS[kind])
        change(data)
        try:
            loaded = architecture.from_json(data)
        except InputError as error:
            assert str(error)
            continue
        assert json.dumps(loaded.to_json()) == json.dumps(data)
