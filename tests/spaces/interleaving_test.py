import itertools

import pytest

from ifnas_jax.spaces import darts
from ifnas_jax.spaces.graph import Stage
from ifnas_jax.spaces.interleaving import (
    active_connections,
    added_connections,
    count_interleaved,
    interleave,
    random_groups,
    sampling_groups,
)


def shares_a_gap(first, second):
    """The definition of section 3.3, gap by gap."""
    if first[1] == second[1] or min(b - a for a, b in (first, second)) < 2:
        return False
    gaps = [d + 0.5 for d in range(12)]
    return any(first[0] < g < first[1] and second[0] < g < second[1] for g in gaps)


def test_interleave_is_the_definition_over_gaps():
    edges = list(itertools.combinations(range(13), 2))
    pairs = list(itertools.product(edges, repeat=2))
    assert len(pairs) == 78**2
    wrong = [pair for pair in pairs if interleave(*pair) != shares_a_gap(*pair)]
    assert wrong == []


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((3, 7), (5, 8), True),
        ((1, 8), (3, 6), True),  # nested
        ((1, 4), (4, 8), False),  # they touch, and share no gap
        ((2, 8), (5, 8), False),  # candidates of one node compete
        ((2, 8), (4, 5), False),  # the backbone interleaves with nothing
    ],
)
def test_interleaving_by_example(first, second, expected):
    assert interleave(first, second) is expected
    assert interleave(second, first) is expected


@pytest.mark.parametrize(("precursors", "pairs"), [(4, 45), (6, 60), (8, 63)])
def test_groups_modulo_l_are_the_fewest_without_interleaving(precursors, pairs):
    stage = Stage(20, precursors)

    def interleaved(modulus):
        return sum(
            count_interleaved(active_connections(stage, group))
            for group in sampling_groups(stage, modulus)
        )

    assert interleaved(precursors) == 0
    assert interleaved(precursors + 1) == 0
    assert interleaved(precursors - 1) == pairs


def test_groups_share_out_the_nodes_by_remainder():
    groups = sampling_groups(Stage(9, 4), 4)
    assert groups == ((4, 8), (1, 5, 9), (2, 6), (3, 7))


@pytest.mark.parametrize("count", [0, 1, 2, 3])
@pytest.mark.parametrize("modulus", [3, 4])
@pytest.mark.parametrize("remainder", range(3))
def test_added_connections_interleave_with_the_group(count, modulus, remainder):
    stage = Stage(20, 4)
    group = sampling_groups(stage, modulus)[remainder]
    added = added_connections(stage, group, count, seed=[3])
    candidates = active_connections(stage, group)
    assert added == added_connections(stage, group, count, seed=[3])
    assert list(added) == sorted(set(added), key=lambda edge: (edge[1], edge[0]))
    assert set(added) <= set(stage.edges())
    assert not {dst for _, dst in added} & set(group)
    assert all(any(interleave(edge, other) for other in candidates) for edge in added)
    # Only node 1, whose one candidate is its backbone, has nothing to interleave with.
    able = [node for node in group if node > 1]
    assert len(added) == count * len(able)


def test_added_connections_depend_on_the_seed_and_end_with_the_pool():
    stage = Stage(20, 4)
    group = sampling_groups(stage, 4)[0]
    draws = {added_connections(stage, group, 2, [seed]) for seed in range(20)}
    assert len(draws) > 10
    everything = added_connections(stage, group, 1000, seed=[0])
    candidates = active_connections(stage, group)
    assert set(everything) == {
        edge
        for edge in stage.edges()
        if edge[1] not in group
        and any(interleave(edge, candidate) for candidate in candidates)
    }


def test_groups_of_a_cell_are_one_node_at_a_time():
    space = darts()
    assert space.modulus == 4
    for stage in space.stages:
        groups = sampling_groups(stage, 4)
        assert groups == ((4,), (1,), (2,), (3,))
        counts = [count_interleaved(active_connections(stage, g)) for g in groups]
        assert counts == [0, 0, 0, 0]
        # (-1, 2) and (0, 2) with (-1, 4), (0, 4) and (1, 4); (-1, 1) with (-1, 3) and
        # (0, 3).
        halves = sampling_groups(stage, 2)
        counts = [count_interleaved(active_connections(stage, g)) for g in halves]
        assert counts == [6, 2]


@pytest.mark.parametrize("precursors", [4, 6, 8])
def test_random_groups_share_out_the_nodes_and_interleave(precursors):
    stage = Stage(20, precursors)
    draws = [random_groups(stage, precursors, [seed, 0]) for seed in range(10)]
    sizes = [len(group) for group in sampling_groups(stage, precursors)]
    for groups in draws:
        assert [len(group) for group in groups] == sizes
        assert sorted(sum(groups, ())) == list(range(1, 21))
        assert all(list(group) == sorted(group) for group in groups)
        assert sum(count_interleaved(active_connections(stage, g)) for g in groups) > 20
    assert len(set(draws)) == 10
    assert draws[3] == random_groups(stage, precursors, [3, 0])
    assert draws[3] != random_groups(stage, precursors, [3, 1])
