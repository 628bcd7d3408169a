"""The controls of sampling: random groups, matched updates, additions on purpose."""

import numpy as np
import pytest

from ifnas_jax import config as config_lib
from ifnas_jax.methods import make_method, sampling
from ifnas_jax.spaces.interleaving import count_interleaved, interleave

NODES = (9, 10, 8)


def make(space="lchain", seed=0, **changes):
    config = config_lib.default("mnist5k")
    config.seed = seed
    config.space.update(name=space, num_precursors=4, nodes=NODES)
    if space != "lchain":
        config.space.nodes = (4,)
        config.macro.update(cells=3, search_cells=3)
    config.sampling.update(changes)
    config_lib.resolve(config, None)
    graph = config_lib.space(config)
    return make_method(config, graph, config_lib.macro(config)), graph, config


def edges(active):
    """Active connections of one stage in one step."""
    pairs = np.argwhere(active.any(axis=-1)).tolist()
    return [(row - column, row + 1) for row, column in pairs]


def test_random_groups_are_of_the_same_sizes_and_interleave():
    _, graph, config = make()
    plain = sampling.groups(config, graph)
    method, graph, config = make(groups="random")
    groups = sampling.groups(config, graph)
    assert groups != plain
    assert groups == sampling.groups(make(groups="random")[2], graph)
    assert groups != sampling.groups(make(groups="random", seed=1)[2], graph)
    for stage, own, others in zip(graph.stages, groups, plain, strict=True):
        assert [len(group) for group in own] == [len(group) for group in others]
        nodes = sorted(node for group in own for node in group)
        assert nodes == list(range(1, stage.num_nodes + 1))
    steps = method.masks(graph.full(), 0)
    interleaved = [
        sum(count_interleaved(edges(stage.active[step])) for stage in steps)
        for step in range(1, 5)
    ]
    assert min(interleaved) > 0
    for stage, own in zip(steps, groups, strict=True):
        for step in range(1, 5):
            learned = (np.flatnonzero(stage.learned[step]) + 1).tolist()
            assert learned == list(own[step % 4])


@pytest.mark.parametrize("space", ["lchain", "darts"])
def test_matched_updates_train_everything_and_each_gate_once_a_loop(space):
    method, graph, config = make(space, groups="matched")
    kept = graph.full()
    kept[0][1, 0] = False
    groups = sampling.groups(config, graph)
    for stage, full, own in zip(method.masks(kept, 0), kept, groups, strict=True):
        assert len(stage.active) == 5
        assert (stage.active == full).all()
        assert stage.gated.all()
        assert not stage.learned[0].any()
        assert (stage.learned.sum(axis=0) == 1).all()
        for step in range(1, 5):
            learned = np.flatnonzero(stage.learned[step]) + 1
            assert learned.tolist() == list(own[step % 4])


def test_in_a_cell_a_group_is_one_node_and_the_others_keep_their_nearest_input():
    method, graph, _ = make("darts")
    for stage in method.masks(graph.full(), 0):
        for step in range(1, 5):
            node = step % 4 or 4
            assert np.flatnonzero(stage.learned[step]).tolist() == [node - 1]
            for other in range(1, 5):
                found = [src for src, dst in edges(stage.active[step]) if dst == other]
                if other != node:
                    assert found == [other - 1]
                else:
                    assert found == list(range(node - 1, max(-2, node - 5), -1))


def test_added_connections_interleave_with_their_group():
    method, graph, config = make(interleaved=2)
    groups = sampling.groups(config, graph)
    steps, total = method.masks(graph.full(), 0), 0
    for index in range(4):
        added = sampling.additions(config, graph, groups, index)
        assert added == sampling.additions(config, graph, groups, index)
        for stage, graph_stage, own, extra in zip(
            steps, graph.stages, groups, added, strict=True
        ):
            candidates = [e for e in graph_stage.edges() if e[1] in own[index]]
            total += len(extra)
            for edge in extra:
                assert edge[1] not in own[index]
                assert any(interleave(edge, candidate) for candidate in candidates)
                pair = edge[1] - 1, edge[1] - edge[0] - 1
                step = index or 4
                assert stage.active[step][pair].all()
                assert stage.gated[step, edge[1] - 1]
                assert stage.learned[step, edge[1] - 1]
    assert total > 20
    assert all(extra == () for extra in sampling.additions(make()[2], graph, groups, 1))
