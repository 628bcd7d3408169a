"""The super-network against a plain Python loop over the graph."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifnas_jax.cost import Macro
from ifnas_jax.nn.supernet import Supernet, active_pairs, batch_apply
from ifnas_jax.spaces.lchain import lchain

SPACE = lchain(3, (4, 2, 3))
NET = Supernet(SPACE, Macro(4, 5, 8, 1, "small"))


@pytest.fixture(scope="module")
def params():
    return jax.jit(NET.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def images():
    return jax.random.normal(jax.random.key(1), (6, 8, 8, 1))


def random_masks(seed, share=0.5):
    """Random pairs, and weights for them; node N keeps an input, others may not."""
    rng = np.random.default_rng(seed)
    active, weights = [], []
    for stage in SPACE.full():
        kept = stage & (rng.random(stage.shape) < share)
        kept[-1, 0, 0] = True
        active.append(jnp.array(kept))
        weights.append(jnp.array(rng.uniform(0.2, 1.0, stage.shape), jnp.float32))
    return active, weights


def loop_over_the_graph(params, weights, active, images):
    """What `Supernet.apply` means, without scan, cond or custom gradients."""
    stem, inputs, classifier = NET.parts()
    x = batch_apply(stem, params["stem"], images)
    for s, graph in enumerate(SPACE.stages):
        outputs = {0: batch_apply(inputs[s], params["inputs"][s], x)}
        for dst in range(1, graph.num_nodes + 1):
            outputs[dst] = jnp.zeros_like(outputs[0])
            for src in graph.precursors(dst):
                for o, name in enumerate(SPACE.operators):
                    pair = dst - 1, dst - src - 1
                    if active[s][(*pair, o)]:
                        edge = jax.tree.map(
                            lambda a, pair=pair: a[pair], params["stages"][s][name]
                        )
                        y = batch_apply(NET.operator(name, s), edge, outputs[src])
                        outputs[dst] += weights[s][(*pair, o)] * y
        x = outputs[graph.num_nodes]
    return batch_apply(classifier, params["classifier"], x)


def gradients(apply, params, weights, active, images):
    def loss(params, weights, images):
        logits = apply(params, weights, active, images)
        return jnp.sum(jnp.sin(logits)), logits

    return jax.grad(loss, (0, 1, 2), has_aux=True)(params, weights, images)


@jax.jit
def compiled(params, weights, active, images):
    return gradients(NET.apply, params, weights, active, images)


@pytest.mark.parametrize("seed", range(2))
def test_equals_a_plain_loop_in_value_and_gradient(params, images, seed):
    active, weights = random_masks(seed)
    grads, logits = compiled(params, weights, active, images)
    expected, expected_logits = gradients(
        loop_over_the_graph, params, weights, active, images
    )
    np.testing.assert_allclose(logits, expected_logits, rtol=1e-4, atol=1e-4)
    flat, _ = jax.tree.flatten_with_path(grads)
    for (path, ours), theirs in zip(flat, jax.tree.leaves(expected), strict=True):
        scale = float(jnp.abs(theirs).max()) + 1e-3
        error = float(jnp.abs(ours - theirs).max())
        assert error < 2e-3 * scale, (jax.tree_util.keystr(path), error, scale)


def test_inactive_pairs_have_exactly_zero_gradient(params, images):
    active, weights = random_masks(7)
    (d_params, d_weights, _), _ = compiled(params, weights, active, images)
    moved = 0
    for s, mask in enumerate(active):
        assert not np.any(np.asarray(d_weights[s])[~np.asarray(mask)])
        on = np.asarray(mask[:, :, 0])
        for leaf in jax.tree.leaves(d_params["stages"][s]["sep_conv_3x3"]):
            assert not np.any(np.asarray(leaf)[~on])
            moved += int(np.any(np.asarray(leaf)[on]))
    # The test could not fail if nothing had a gradient.
    assert moved > 10


def test_changing_masks_never_recompiles(params, images):
    for seed in range(4):
        active, weights = random_masks(seed, share=0.2 * (seed + 1))
        compiled(params, weights, active, images)
    assert compiled._cache_size() == 1
    # The counter does count: another batch size is another program.
    compiled(params, weights, active, images[:3])
    assert compiled._cache_size() == 2


def test_program_does_not_grow_with_the_nodes_or_precursors():
    def size(num_precursors, nodes):
        net = Supernet(lchain(num_precursors, nodes), NET.macro)
        args = jax.eval_shape(net.init, jax.random.key(0))
        active = [jax.ShapeDtypeStruct(k.shape, bool) for k in net.space.full()]
        weights = [jax.ShapeDtypeStruct(k.shape, jnp.float32) for k in active]
        images = jax.ShapeDtypeStruct((2, 8, 8, 1), jnp.float32)
        step = jax.jit(
            lambda p, w, a, x: jax.grad(lambda p: net.apply(p, w, a, x).sum())(p)
        )
        return len(step.lower(args, weights, active, images).as_text().splitlines())

    assert size(8, (18, 20, 18)) == size(2, (2, 3, 2))


def test_active_pairs_are_listed_by_destination():
    active = np.random.default_rng(0).random((5, 3, 2)) < 0.4
    order, count = active_pairs(jnp.array(active))
    assert order[:count].tolist() == np.flatnonzero(active).tolist()
    assert sorted(order.tolist()) == list(range(active.size))


def test_bfloat16_compute_stays_near_float32(params, images):
    active, weights = random_masks(0)
    half = Supernet(SPACE, NET.macro, jnp.bfloat16)
    expected = jax.jit(NET.apply)(params, weights, active, images)
    logits = jax.jit(half.apply)(params, weights, active, images)
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, expected, atol=0.25)
