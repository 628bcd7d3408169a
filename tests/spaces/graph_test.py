import itertools
import math

import numpy as np
import pytest

from ifnas_jax.errors import InputError
from ifnas_jax.spaces import darts, goldnas, lchain, make_space
from ifnas_jax.spaces.graph import Stage


def test_edges_are_the_connections_that_are_at_most_l_long():
    stage = Stage(num_nodes=6, num_precursors=4)
    expected = sorted(
        (
            (src, dst)
            for src, dst in itertools.product(range(7), repeat=2)
            if 1 <= dst - src <= 4
        ),
        key=lambda edge: (edge[1], edge[0]),
    )
    assert list(stage.edges()) == expected
    assert stage.precursors(5) == (4, 3, 2, 1)
    rows = {(n - length, n) for n, length in np.argwhere(stage.valid()) + 1}
    assert rows == set(expected)


@pytest.mark.parametrize(("precursors", "edges"), [(4, 206), (6, 291), (8, 364)])
def test_number_of_edges_of_the_papers_spaces(precursors, edges):
    space = lchain(precursors)
    assert space.num_edges == edges
    assert sum(len(stage.edges()) for stage in space.stages) == edges
    assert sum(int(stage.sum()) for stage in space.full()) == 2 * edges


def test_size_counts_what_can_be_enumerated():
    space = lchain(2, (2, 1, 1))
    pairs = [
        (stage, row)
        for stage, array in enumerate(space.full())
        for row, _, _ in np.argwhere(array)
    ]
    nodes = set(pairs)
    valid = sum(
        {pair for pair, kept in zip(pairs, chosen, strict=True) if kept} == nodes
        for chosen in itertools.product((False, True), repeat=len(pairs))
    )
    assert valid == 3**3 * 15
    assert space.size() == valid


@pytest.mark.parametrize(
    ("precursors", "paper", "ours"),
    [
        (4, "1.8e+116", "2.9e+123"),
        (6, "7.5e+163", "5.1e+174"),
        (8, "1.6e+204", "4.6e+218"),
    ],
)
def test_sizes_of_table_1_and_of_all_nodes(precursors, paper, ours):
    space = lchain(precursors)
    assert (f"{space.size_paper():.1e}", f"{space.size():.1e}") == (paper, ours)
    # Exact: each stage begins with L - 1 nodes of fewer inputs; all others have L.
    short = math.prod(4**n - 1 for n in range(1, precursors)) ** 3
    full = 4**precursors - 1
    assert space.size() == short * full ** (56 - 3 * (precursors - 1))
    assert space.size_paper() == short * full ** (53 - 3 * (precursors - 1))


def test_logarithms_of_the_sizes_at_l_4():
    space = lchain(4)
    assert f"{math.log10(space.size_paper()):.3f}" == "116.245"
    assert f"{math.log10(space.size()):.3f}" == "123.465"


def test_one_chain_has_one_edge_a_node():
    space = lchain(1, (3, 2, 1))
    assert space.num_edges == 6
    assert space.size() == 3**6


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((0,), "num_precursors"),
        ((4, (18, 20)), "nodes"),
        ((4, (18, 0, 18)), "nodes"),
        ((4, (18, 20, 18), ()), "operators"),
        ((4, (18, 20, 18), ("skip_connect", "skip_connect")), "operators"),
    ],
)
def test_an_impossible_space_is_refused_by_its_field(arguments, field):
    with pytest.raises(InputError, match=field):
        lchain(*arguments)


def test_edges_of_a_cell_leave_both_inputs():
    normal, reduction = darts().stages
    for stage in (normal, reduction):
        assert len(stage.edges()) == 14
        assert list(stage.edges()) == [
            (src, dst) for dst in range(1, 5) for src in range(-1, dst)
        ]
        rows = {(n - length, n) for n, length in np.argwhere(stage.valid()) + 1}
        assert rows == set(stage.edges())
        assert stage.outputs() == (1, 2, 3, 4)
    assert not normal.strided().any()
    strided = {(n - length, n) for n, length in np.argwhere(reduction.strided()) + 1}
    assert strided == {(src, dst) for dst in range(1, 5) for src in (-1, 0)}
    # With fewer precursors the far input is out of reach of the last nodes.
    assert darts(4, 3).stages[0].precursors(4) == (3, 2, 1)
    assert darts(4, 3).stages[0].precursors(2) == (1, 0, -1)


def test_size_of_cells_counts_what_can_be_enumerated():
    pairs = {
        node: [(edge, op) for edge in range(node + 1) for op in range(2)]
        for node in (1, 2)
    }
    two_inputs, any_inputs = 1, 1
    for own in pairs.values():
        two_inputs *= sum(a[0] != b[0] for a, b in itertools.combinations(own, 2))
        any_inputs *= sum(
            len(list(itertools.combinations(own, count)))
            for count in range(1, len(own) + 1)
        )
    assert darts(2, 3).size() == two_inputs**2
    assert goldnas(3, 2, 3).size() == any_inputs**3


def test_sizes_of_table_1_of_the_spaces_of_cells():
    # Nodes keep two of 2, 3, 4 and 5 inputs, one of 2 or of DARTS' 7 operators each.
    assert darts().size() == (1 * 3 * 6 * 10 * 2**8) ** 2
    assert darts().size_paper() == (1 * 3 * 6 * 10 * 7**8) ** 2
    assert f"{darts().size_paper():.1e}" == "1.1e+18"
    one_cell = (2**4 - 1) * (2**6 - 1) * (2**8 - 1) * (2**10 - 1)
    assert goldnas(14).size() == goldnas(14).size_paper() == one_cell**14
    assert f"{goldnas(14).size_paper():.1e}" == "3.1e+117"


@pytest.mark.parametrize(
    ("cells", "reductions"), [(3, (1, 2)), (8, (2, 5)), (14, (4, 9)), (20, (6, 13))]
)
def test_cells_reduce_at_one_and_two_thirds_of_the_depth(cells, reductions):
    shared, own = darts().positions(cells), goldnas(cells).positions(cells)
    levels = [sum(cell >= first for first in reductions) for cell in range(cells)]
    assert [position.level for position in shared] == levels
    assert [position.level for position in own] == levels
    assert [cell for cell, at in enumerate(shared) if at.stage == 1] == list(reductions)
    assert [position.stage for position in own] == list(range(cells))
    stages = goldnas(cells).stages
    strides = [cell for cell, stage in enumerate(stages) if stage.stride == 2]
    assert strides == list(reductions)


def test_a_chain_has_each_stage_once_at_its_level():
    assert lchain(2, (1, 2, 1)).positions(0) == ((0, 0), (1, 1), (2, 2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: darts(0), "space.nodes is 0"),
        (lambda: darts(4.0), "space.nodes is 4.0"),
        (lambda: darts(4, 0), "space.num_precursors is 0, .* set it from 1 to 5"),
        (lambda: goldnas(8, 4, 6), "space.num_precursors is 6, .* set it from 1 to 5"),
        (lambda: goldnas(2), "macro.search_cells, .* has 2 cells"),
        (lambda: darts().positions(2), "has 2 cells, but two of them reduce"),
        (lambda: goldnas(8).positions(9), "8 cells, .* so a network of 9 can't be"),
        (lambda: darts(operators=()), "space.operators is"),
        (lambda: make_space("nas", 4, (4,), 8), "space.name is 'nas'; choose one of"),
        (lambda: make_space("darts", 5, (4, 4), 8), r"space.nodes is \(4, 4\)"),
    ],
)
def test_an_impossible_space_of_cells_is_refused_by_its_field(make, message):
    with pytest.raises(InputError, match=message):
        make()
