import itertools
import math

import numpy as np
import pytest

from ifnas_jax.errors import InputError
from ifnas_jax.spaces.graph import Stage
from ifnas_jax.spaces.lchain import lchain


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
