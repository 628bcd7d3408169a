"""The second way of skipping, against the first."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cheap import cheap

from ifnas_jax.architecture import masks as mask_lib
from ifnas_jax.architecture.cost import Macro
from ifnas_jax.nn.branches import (
    add_static_pairs,
    distinct_branches,
    smallest_cover,
    switched,
)
from ifnas_jax.nn.pairs import Operator, add_pairs
from ifnas_jax.nn.supernet import Supernet
from ifnas_jax.operators.own import madds
from ifnas_jax.spaces import goldnas, lchain
from ifnas_jax.spaces.interleaving import sampling_groups

CELLS = Macro(4, 5, 8, 1, "small", cells=3)
SPACES = {
    "lchain": (lchain(2, (3, 1, 2)), Macro(4, 5, 8, 1, "small")),
    # Node 2 is too far from input -1.
    "goldnas": (goldnas(3, 2, 2), CELLS),
}


def loop_masks(space, kept):
    """The masks of IF-NAS: the whole network, then each group."""
    count = space.modulus
    groups = [sampling_groups(stage, count) for stage in space.stages]
    steps = [
        mask_lib.group(space, kept, [own[j % count] for own in groups])
        for j in range(1, count + 1)
    ]
    return mask_lib.stack([mask_lib.whole(kept, learned=False), *steps])


def without_nearest(space):
    """What is left where the nearest edge of a node was pruned, so that its group's
    branch does not have the edge that stands for it, and a few others."""
    kept = tuple(stage.copy() for stage in space.full())
    kept[-1][-1, 0] = False
    kept[0][-1, 1, 0] = False
    return kept


def gradients_of(apply):
    def loss(params, weights, active, images):
        logits = apply(params, weights, active, images)
        return jnp.sum(jnp.sin(logits)), logits

    quick = {"xla_backend_optimization_level": 0}
    gradients = jax.grad(loss, (0, 1, 3), has_aux=True)
    return jax.jit(gradients, compiler_options=quick)


@pytest.mark.parametrize("name", SPACES)
def test_branches_equal_loops_in_value_and_gradient(name, random_params):
    space, macro = SPACES[name]
    branches = distinct_branches(loop_masks(space, space.full()))
    loops = Supernet(space, macro, wrap=cheap)
    params = random_params(loops)
    images = jax.random.normal(jax.random.key(1), (6, 8, 8, 1))
    one = gradients_of(loops.apply)
    other = gradients_of(dataclasses.replace(loops, branches=branches).apply)
    taken = set()
    for kept in (space.full(), without_nearest(space)):
        masks = loop_masks(space, kept)
        for step in range(len(masks[0].active)):
            active = [jnp.array(stage.active[step]) for stage in masks]
            rng = np.random.default_rng(step)
            weights = [
                jnp.array(rng.uniform(0.2, 1.0, on.shape), jnp.float32) for on in active
            ]
            taken.add(int(smallest_cover(branches, active)))
            expected = one(params, weights, active, images)
            found = other(params, weights, active, images)
            expected_leaves = jax.tree.leaves(expected)
            least = 1e-2 * max(float(jnp.abs(x).max()) for x in expected_leaves)
            for ours, theirs in zip(
                jax.tree.leaves(found), expected_leaves, strict=True
            ):
                scale = max(float(jnp.abs(theirs).max()), least)
                assert float(jnp.abs(ours - theirs).max()) < 2e-3 * scale
            for d_weight, on in zip(found[0][1], active, strict=True):
                assert not np.any(np.asarray(d_weight)[~np.asarray(on)])
    assert taken == set(range(len(branches)))


def test_a_group_has_a_branch_of_its_own_and_the_whole_takes_the_rest():
    space = lchain(3, (4, 2, 3))
    masks = loop_masks(space, space.full())
    branches = distinct_branches(masks)
    assert len(branches) == 4
    sizes = [sum(stage.sum() for stage in branch) for branch in branches]
    assert sizes == sorted(sizes)
    for step in range(4):
        active = [stage.active[step] for stage in masks]
        index = int(smallest_cover(branches, active))
        for on, own in zip(active, branches[index], strict=True):
            np.testing.assert_array_equal(on, own)
    rng = np.random.default_rng(0)
    for _ in range(50):
        active = [
            full & (rng.random(full.shape) < rng.choice([0.1, 0.6])) & own
            for full, own in zip(space.full(), branches[rng.integers(4)], strict=True)
        ]
        fits = [
            all((on <= own).all() for on, own in zip(active, branch, strict=True))
            for branch in branches
        ]
        assert int(smallest_cover(branches, active)) == fits.index(True)
    # A node without its nearest edge is in no group's branch, nor in that of the chain.
    kept = without_nearest(space)
    rerouted = [stage.active[1:] for stage in loop_masks(space, kept)]
    indices = [
        int(smallest_cover(branches, [stage[step] for stage in rerouted]))
        for step in range(3)
    ]
    assert 3 in indices
    assert min(indices) < 3


def test_the_last_branch_has_to_have_all_pairs():
    space = lchain(3, (4, 2, 3))
    branches = distinct_branches(loop_masks(space, space.full()))
    switched(None, branches)
    with pytest.raises(ValueError, match="last branch"):
        switched(None, branches[:-1])


def test_the_gradient_of_a_weight_is_float32_in_bfloat16():
    """As that of the loops: many equal summands, whose sum bfloat16 can't hold."""
    identity = Operator(lambda params, x: x)
    nodes = jnp.ones((2, 1, 1, 1, 3001), jnp.bfloat16)
    active = np.ones((1, 1, 1), bool)

    def total(weights, add):
        out = add((identity,), 0, ({},), weights, active, None, nodes)
        return out[-1].astype(jnp.float32).sum()

    for add in (add_static_pairs, add_pairs):
        found = jax.grad(total)(jnp.ones((1, 1, 1)), add)
        assert found.dtype == jnp.float32
        assert found.item() == 3001


def test_the_same_masks_share_a_branch():
    space = lchain(3, (4, 2, 3))
    step = mask_lib.whole(space.full(), learned=True)
    (branch,) = distinct_branches(mask_lib.stack([step] * 4))
    for own, full in zip(branch, space.full(), strict=True):
        np.testing.assert_array_equal(own, full)


def test_a_branch_has_no_more_than_its_pairs():
    """Multiply-adds of the forward pass grow with the pairs of the branch."""
    space, macro = lchain(3, (4, 2, 3)), SPACES["lchain"][1]
    kept = space.full()

    def counted(masks):
        branch = tuple(stage.active for stage in masks)
        net = Supernet(space, macro, branches=(branch,))
        params = jax.eval_shape(net.init, jax.random.key(0))
        active = [jnp.array(stage) for stage in branch]
        weights = [jnp.ones(stage.shape) for stage in branch]
        images = jax.ShapeDtypeStruct((2, 8, 8, 1), jnp.float32)
        # Of the trace: what back ends say of a program differs, or is nothing.
        trace = jax.make_jaxpr(net.apply)(params, weights, active, images)
        pairs = sum(int(stage[:, :, 0].sum()) for stage in branch)
        return madds(trace.jaxpr), pairs

    def group(nodes):
        return counted(mask_lib.group(space, kept, nodes))

    alone, pairs = group([()] * 3)
    more, more_pairs = group([(2,), (), ()])
    most, most_pairs = group([(2, 4), (), ()])
    assert (more_pairs - pairs, most_pairs - pairs) == (1, 3)
    np.testing.assert_allclose(most - alone, 3 * (more - alone), rtol=0.05)
    assert more > 1.02 * alone
