import numpy as np
import pytest

from ifnas_jax.architecture import delete_unread, masks
from ifnas_jax.spaces import darts, lchain

SPACE = lchain(4, (7, 5, 6))


def random_kept(seed):
    """Any pairs, at least one a node, without unread nodes."""
    rng = np.random.default_rng(seed)
    kept = []
    for stage in SPACE.full():
        array = stage & (rng.random(stage.shape) < 0.35)
        for row, node in enumerate(stage):
            if not array[row].any():
                array[(row, *rng.choice(np.argwhere(node)))] = True
        kept.append(array)
    return delete_unread(SPACE.stages, kept)


def nearest_pairs(stage, node):
    """Operators of the node's nearest surviving edge, as (column, operator)."""
    for column in range(stage.shape[1]):
        operators = np.flatnonzero(stage[node - 1, column]).tolist()
        if operators:
            return {(column, op) for op in operators}
    return set()


def pairs(array, node):
    return {tuple(pair) for pair in np.argwhere(array[node - 1]).tolist()}


def read_nodes(stage, members):
    """Nodes from which the last one can be reached in a group's sub-network."""
    read, waiting = set(), [len(stage)]
    while waiting:
        node = waiting.pop()
        read.add(node)
        inputs = pairs(stage, node) if node in members else nearest_pairs(stage, node)
        waiting += [node - column - 1 for column, _ in inputs if node - column > 1]
    return read


@pytest.mark.parametrize("seed", range(5))
def test_group_keeps_its_nodes_whole_and_the_others_on_their_backbone(seed):
    kept = random_kept(seed)
    nodes = ((1, 5), (2,), (3, 6))
    for stage, members, mask in zip(
        kept, nodes, masks.group(SPACE, kept, nodes), strict=True
    ):
        read = read_nodes(stage, members)
        for node in range(1, len(stage) + 1):
            expected = pairs(stage, node) if node in members else set()
            expected = expected or nearest_pairs(stage, node)
            # Nobody reads it: it would learn from the regulariser alone.
            expected = expected if node in read else set()
            assert pairs(mask.active, node) == expected
            learns = node in members and node in read
            assert mask.gated[node - 1] == mask.learned[node - 1] == learns


def test_group_of_a_cell_is_one_node_whole_and_the_others_on_their_backbone():
    space = darts()
    kept = space.full()
    kept[1][2, 0] = False  # The reduction's node 3 lost pre-1.
    for stage, mask in zip(kept, masks.group(space, kept, ((2,), (2,))), strict=True):
        assert pairs(mask.active, 2) == pairs(stage, 2)
        for node in (1, 3, 4):
            # All nodes are outputs, so none is passed by.
            assert pairs(mask.active, node) == nearest_pairs(stage, node) != set()
        assert mask.gated.tolist() == mask.learned.tolist() == [0, 1, 0, 0]


def test_unlearned_counts_nodes_that_every_group_passes_by():
    kept = SPACE.full()
    groups = [[(n,), (), ()] for n in range(1, 8)]
    steps = lambda: masks.stack([masks.group(SPACE, kept, g) for g in groups])  # noqa: E731
    # The other two stages have no groups here: 5 + 6 nodes never learn.
    assert masks.unlearned(kept, steps()) == 11
    kept[0][4, 0] = False  # The backbone goes from 3 to 5; only groups 6 and 7 read 4.
    assert masks.unlearned(kept, steps()) == 12


def test_backbone_is_pre_1_until_it_is_pruned():
    (stage, _, _) = SPACE.full()
    stage[4, :2] = False  # node 5 lost pre-1 and pre-2
    stage[5, 0, 0] = False  # node 6 lost one operator of pre-1
    backbone = masks.backbone(stage)
    assert pairs(backbone, 4) == {(0, 0), (0, 1)}
    assert pairs(backbone, 5) == {(2, 0), (2, 1)}
    assert pairs(backbone, 6) == {(0, 1)}


def test_rerouted_counts_live_nodes_without_pre_1():
    kept = SPACE.full()
    assert masks.rerouted(kept) == 0
    kept[0][4, 0] = False
    kept[2][1, 0] = False
    kept[1][2] = False  # a deleted node is not rerouted
    assert masks.rerouted(kept) == 2


def test_added_connections_are_gated_beside_the_backbone():
    kept = SPACE.full()
    kept[0][6, 2] = False  # (4, 7) was pruned, so it can't be added
    added = (((1, 4), (4, 7)), (), ())
    first, second, _ = masks.group(SPACE, kept, ((5,), (), ()), added)
    assert pairs(first.active, 4) == {(0, 0), (0, 1), (2, 0), (2, 1)}
    assert pairs(first.active, 7) == {(0, 0), (0, 1)}
    assert np.flatnonzero(first.gated).tolist() == [3, 4]
    assert np.flatnonzero(first.learned).tolist() == [3, 4]
    assert not second.gated.any()
    # Or the group alone learns, and all else is the same.
    alone, *_ = masks.group(SPACE, kept, ((5,), (), ()), added, added_learn=False)
    assert np.flatnonzero(alone.learned).tolist() == [4]
    assert np.array_equal(alone.active, first.active)
    assert np.array_equal(alone.gated, first.gated)


@pytest.mark.parametrize("learned", [False, True])
def test_whole_gates_everything_and_learns_on_demand(learned):
    kept = random_kept(0)
    for stage, mask in zip(kept, masks.whole(kept, learned), strict=True):
        assert np.array_equal(mask.active, stage)
        assert mask.gated.all()
        assert (mask.learned == learned).all()


def test_masks_are_copies_and_stack_along_a_new_first_axis():
    kept = random_kept(1)
    steps = [masks.whole(kept, False), masks.group(SPACE, kept, ((1,), (2,), (3,)))]
    stacked = masks.stack(steps)
    kept[0][:] = False
    assert steps[0][0].active.any()
    for stage, nodes in enumerate(SPACE.nodes):
        assert stacked[stage].active.shape == (2, nodes, 4, 2)
        assert stacked[stage].gated.shape == (2, nodes)
        for index, step in enumerate(steps):
            for whole, one in zip(stacked[stage], step[stage], strict=True):
                assert np.array_equal(whole[index], one)
                assert whole.dtype == bool
