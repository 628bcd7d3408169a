import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifnas_jax import config as config_lib
from ifnas_jax.methods import METHODS, make_method
from ifnas_jax.spaces.interleaving import count_interleaved

NODES = (8, 9, 7)


def make(method="ifnas", precursors=4, **sampling):
    config = config_lib.default("mnist5k")
    config.space.num_precursors = precursors
    config.space.nodes = NODES
    config.method = method
    config.sampling.update(sampling)
    config_lib.resolve(config, None)
    space = config_lib.space(config)
    return make_method(config, space, config_lib.macro(config)), space


def edges(active):
    """Active connections of one stage in one step."""
    pairs = np.argwhere(active.any(axis=-1)).tolist()
    return [(row - column, row + 1) for row, column in pairs]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_can_be_made_by_its_name(name):
    method, space = make(name)
    arch = jax.eval_shape(method.init, jax.random.key(0))
    arch = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), arch)
    step = jax.tree.map(lambda mask: mask[1], method.masks(space.full(), 0))
    shapes = [stage.shape for stage in space.full()]
    assert [w.shape for w in jax.eval_shape(method.weights, arch, step)] == shapes
    gates = method.gates(arch, space.full())
    assert [s.shape for s in gates.alpha] == shapes
    assert [s.shape for s in gates.strength] == shapes
    assert [s.shape for s in gates.beta] == [shape[:2] for shape in shapes]
    mu = np.ones(2, np.float32)
    assert jnp.shape(jax.eval_shape(method.penalty, arch, step, mu)) == ()


@pytest.mark.parametrize("precursors", [1, 2, 4, 6])
def test_a_loop_trains_everything_then_each_group_once(precursors):
    method, space = make(precursors=precursors)
    kept = space.full()
    for stage, mask in zip(kept, method.masks(kept, 0), strict=True):
        assert len(mask.active) == precursors + 1
        assert np.array_equal(mask.active[0], stage)
        assert mask.gated[0].all()
        assert not mask.learned[0].any()
        for step in range(1, precursors + 1):
            nodes = np.arange(1, len(stage) + 1)
            group = nodes % precursors == step % precursors
            assert np.array_equal(mask.learned[step], group)
            assert np.array_equal(mask.gated[step], group)
        assert (mask.learned.sum(axis=0) == 1).all()


def test_no_sampling_step_has_interleaved_connections():
    def interleaved(**sampling):
        method, space = make(**sampling)
        return [
            sum(
                count_interleaved(edges(stage.active[step]))
                for stage in method.masks(space.full(), 0)
            )
            for step in range(1, len(method.masks(space.full(), 0)[0].active))
        ]

    assert interleaved() == [0, 0, 0, 0]
    assert interleaved(modulus=5) == [0, 0, 0, 0, 0]
    assert min(interleaved(modulus=3)) > 0
    one, three = (interleaved(interleaved=count) for count in (1, 3))
    assert 0 < min(one) <= sum(one) < sum(three)


def test_added_connections_are_learned_in_their_step_and_stay_the_same():
    method, space = make(interleaved=2)
    plain, _ = make()
    with_added, without = method.masks(space.full(), 0), plain.masks(space.full(), 0)
    for some, none in zip(with_added, without, strict=True):
        new = some.active & ~none.active
        assert not new[0].any()
        assert new[1:].any(axis=(1, 2, 3)).all()
        assert (some.learned >= new.any(axis=(2, 3))).all()
    # A pruned connection is not added again.
    kept = space.full()
    kept[0][5, 2] = False
    assert not method.masks(kept, 0)[0].active[:, 5, 2].any()
    again, _ = make(interleaved=2)
    for some, same in zip(with_added, again.masks(space.full(), 0), strict=True):
        assert np.array_equal(some.active, same.active)


def test_masks_follow_pruning():
    method, space = make()
    kept = space.full()
    kept[1][4, 0] = False  # node 5 of stage 2 lost pre-1
    _, stage, _ = method.masks(kept, 0)
    assert not stage.active[:, 4, 0].any()
    for step in range(5):
        inputs = [src for src, dst in edges(stage.active[step]) if dst == 5]
        assert inputs == ([3, 2, 1] if step in (0, 1) else [3])


def test_without_sampling_every_step_learns_everything():
    method, space = make("dnas")
    ifnas, _ = make()
    kept = space.full()
    pairs = zip(kept, method.masks(kept, 0), ifnas.masks(kept, 0), strict=True)
    for stage, mask, sampled in pairs:
        assert mask.active.shape == sampled.active.shape
        assert (mask.active == stage).all()
        assert mask.gated.all()
        assert mask.learned.all()
