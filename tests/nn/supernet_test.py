"""The super-network against a plain Python loop over the graph."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from plain_loop import loop_over_the_graph

from ifnas_jax.architecture.cost import Macro
from ifnas_jax.nn.ops import OPERATORS
from ifnas_jax.nn.pairs import active_pairs
from ifnas_jax.nn.supernet import Supernet, as_operator
from ifnas_jax.spaces import darts, goldnas, lchain
from ifnas_jax.training import jit_once

MACRO = Macro(4, 5, 8, 1, "small")
CELLS = Macro(4, 5, 8, 1, "small", cells=3)
NETS = {
    "lchain": Supernet(lchain(2, (3, 1, 2)), MACRO),
    # A normal cell, and twice the reduction cell, which share their gates.
    "darts": Supernet(darts(2, 3), CELLS),
    # Node 2 is too far from input -1.
    "goldnas": Supernet(goldnas(3, 2, 2), CELLS),
}


@pytest.fixture(scope="module", params=NETS)
def case(request, random_params):
    """A super-network, its parameters and its compiled gradients."""
    net = NETS[request.param]
    return net, random_params(net), jit_once(gradients_of(net.apply))


@pytest.fixture(scope="module")
def images():
    return jax.random.normal(jax.random.key(1), (6, 8, 8, 1))


def random_masks(net, seed, share=0.5):
    """Random pairs, and weights for them; node N keeps an input, others may not."""
    rng = np.random.default_rng(seed)
    active, weights = [], []
    for stage in net.space.full():
        kept = stage & (rng.random(stage.shape) < share)
        kept[-1, 0, 0] = True
        active.append(jnp.array(kept))
        weights.append(jnp.array(rng.uniform(0.2, 1.0, stage.shape), jnp.float32))
    return active, weights


def gradients_of(apply):
    def loss(params, weights, active, images):
        logits = apply(params, weights, active, images)
        return jnp.sum(jnp.sin(logits)), logits

    return jax.grad(loss, (0, 1, 3), has_aux=True)


@pytest.fixture(scope="module")
def plain(case):
    """The gradients of the plain loop, compiled for a few runs."""
    apply = functools.partial(loop_over_the_graph, case[0])
    return jit_once(gradients_of(apply))


@pytest.mark.parametrize("seed", range(2))
def test_equals_a_plain_loop_in_value_and_gradient(case, plain, images, seed):
    net, params, compiled = case
    active, weights = random_masks(net, seed)
    grads, logits = compiled(params, weights, active, images)
    expected, expected_logits = plain(params, weights, active, images)
    np.testing.assert_allclose(logits, expected_logits, rtol=1e-4, atol=1e-4)
    flat, _ = jax.tree.flatten_with_path(grads)
    # Ahead of a batch norm some have no gradient but what rounding leaves.
    least = 1e-2 * max(float(jnp.abs(x).max()) for x in jax.tree.leaves(expected))
    for (path, ours), theirs in zip(flat, jax.tree.leaves(expected), strict=True):
        scale = max(float(jnp.abs(theirs).max()), least)
        error = float(jnp.abs(ours - theirs).max())
        assert error < 2e-3 * scale, (jax.tree_util.keystr(path), error, scale)


def test_inactive_pairs_have_exactly_zero_gradient(case, images):
    net, params, compiled = case
    active, weights = random_masks(net, 7)
    (d_params, d_weights, _), _ = compiled(params, weights, active, images)
    for d_weight, mask in zip(d_weights, active, strict=True):
        assert not np.any(np.asarray(d_weight)[~np.asarray(mask)])
    moved = 0
    takes_part = net.active_params(params, active)
    for key in ("stages", "strided"):
        for leaf, on in zip(
            jax.tree.leaves(d_params[key]),
            jax.tree.leaves(takes_part[key]),
            strict=True,
        ):
            on = np.broadcast_to(on, leaf.shape)
            assert not np.any(np.asarray(leaf)[~on])
            moved += int(np.any(np.asarray(leaf)[on]))
    # The test could not fail if nothing had a gradient.
    assert moved > 10


def test_active_params_are_those_of_the_active_pairs(case):
    net, params, _ = case
    active, _ = random_masks(net, 3)
    takes_part = net.active_params(params, active)
    seen = {"stages": 0, "strided": 0}
    for index, (s, _) in enumerate(net.positions):
        graph = net.space.stages[s]
        for o, name in enumerate(net.space.operators):
            # "stages" has an entry for each [N, L], "strided" for each [N, inputs].
            expected = {
                "stages": np.zeros(graph.valid().shape, bool),
                "strided": np.zeros((graph.num_nodes, graph.num_inputs), bool),
            }
            for src, dst in graph.edges():
                on = active[s][dst - 1, dst - src - 1, o]
                if graph.stride == 2 and src <= 0:
                    expected["strided"][dst - 1, src - graph.first] = on
                else:
                    expected["stages"][dst - 1, dst - src - 1] = on
            for key, array in expected.items():
                tree = takes_part[key][index]
                for leaf in jax.tree.leaves(tree[name] if tree else {}):
                    leaf = np.asarray(leaf).reshape(array.shape)
                    np.testing.assert_array_equal(leaf, array)
                    seen[key] += int(leaf.sum())
    assert seen["stages"] > 10
    assert (seen["strided"] > 10) == net.space.has_cells
    for key in ("stem", "inputs", "classifier"):
        assert all(leaf.all() for leaf in jax.tree.leaves(takes_part[key]))


@pytest.fixture(scope="module")
def chain():
    net = NETS["lchain"]
    return net, jit_once(net.init)(jax.random.key(0))


def test_changing_masks_never_recompiles(chain, images):
    (net, params), traced = chain, []

    def apply(params, weights, active, images):
        traced.append(len(images))
        return net.apply(params, weights, active, images)

    compiled = jit_once(apply)
    for seed in range(4):
        active, weights = random_masks(net, seed, share=0.2 * (seed + 1))
        compiled(params, weights, active, images)
    assert traced == [6]
    # Another batch size is another program.
    compiled(params, weights, active, images[:3])
    assert traced == [6, 3]


@pytest.mark.parametrize(
    ("small", "large"),
    [
        (lchain(2, (2, 3, 2)), lchain(8, (18, 20, 18))),
        (darts(2, 3), darts(6, 7)),
        (goldnas(3, 2, 3), goldnas(3, 6, 7)),
    ],
    ids=["lchain", "darts", "goldnas"],
)
def test_program_does_not_grow_with_the_nodes_or_precursors(small, large):
    def size(space):
        net = Supernet(space, CELLS if space.has_cells else MACRO)
        args = jax.eval_shape(net.init, jax.random.key(0))
        active = [jax.ShapeDtypeStruct(k.shape, bool) for k in net.space.full()]
        weights = [jax.ShapeDtypeStruct(k.shape, jnp.float32) for k in active]
        images = jax.ShapeDtypeStruct((2, 8, 8, 1), jnp.float32)
        step = jax.jit(
            lambda p, w, a, x: jax.grad(lambda p: net.apply(p, w, a, x).sum())(p)
        )
        return len(step.lower(args, weights, active, images).as_text().splitlines())

    assert size(large) == size(small)


def test_active_pairs_are_listed_by_node():
    rng = np.random.default_rng(0)
    active, nodes = rng.random((5, 3)) < 0.4, rng.integers(-2, 6, (5, 3))
    active &= nodes >= 0
    pairs = active_pairs(jnp.array(active), nodes, 6)
    order, starts = (array.tolist() for array in pairs)
    assert sorted(order[: starts[-1]]) == np.flatnonzero(active).tolist()
    for node, (start, end) in enumerate(itertools.pairwise(starts)):
        assert order[start:end] == sorted(order[start:end])
        assert all(nodes.flat[index] == node for index in order[start:end])
    assert sorted(order) == list(range(active.size))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", OPERATORS)
def test_the_gradient_of_a_gate_is_the_same_by_way_of_the_last_norm(name, stride):
    """And every operator but the identity takes that way, which spares a map."""
    module = OPERATORS[name](4, stride=stride)
    x = jax.random.normal(jax.random.key(0), (3, 6, 6, 4))
    init = jit_once(lambda x: module.init(jax.random.key(1), x, train=True))
    params = jax.tree.map(lambda p: p + 0.3, init(x).get("params", {}))
    operator = as_operator(module)

    @jit_once
    def ways(params, x):
        y, pull = jax.vjp(operator.apply, params, x)
        d_y = jax.random.normal(jax.random.key(2), y.shape)
        arguments = params, pull(d_y)[0], y, d_y
        plain = operator._replace(linear=None)
        return operator.inner(*arguments), plain.inner(*arguments), jnp.vdot(y, d_y)

    ours, plain, expected = ways(params, x)
    np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(plain, expected, rtol=1e-4, atol=1e-4)
    assert (operator.linear is None) == (not params)


def test_bfloat16_compute_stays_near_float32(chain, images):
    net, params = chain
    active, weights = random_masks(net, 0)
    half = Supernet(net.space, net.macro, jnp.bfloat16)
    expected = jit_once(net.apply)(params, weights, active, images)
    logits = jit_once(half.apply)(params, weights, active, images)
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, expected, atol=0.25)
