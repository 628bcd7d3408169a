"""Node by node, as on accelerators, against the loops over pairs."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cheap import cheap

from ifnas_jax.architecture.cost import Macro
from ifnas_jax.architecture.masks import group
from ifnas_jax.nn.nodes import add_nodes
from ifnas_jax.nn.pairs import Operator, add_pairs
from ifnas_jax.nn.supernet import Supernet
from ifnas_jax.spaces import darts, goldnas, lchain
from ifnas_jax.training import jit_once

MACRO = Macro(4, 5, 8, 1, "small")
CELLS = dataclasses.replace(MACRO, cells=3)
SPACES = {
    "lchain": (lchain(2, (3, 1, 2)), MACRO),
    "darts": (darts(2, 3), CELLS),
    # Node 2 is too far from input -1.
    "goldnas": (goldnas(3, 2, 2), CELLS),
}


def gradients_of(apply):
    def loss(params, weights, active, images):
        logits = apply(params, weights, active, images)
        return jnp.sum(jnp.sin(logits)), logits

    return jax.grad(loss, (0, 1, 3), has_aux=True)


def assert_close(found, expected):
    """Of each array, to what matters of it."""
    leaves = jax.tree.leaves(expected)
    # Ahead of a batch norm some have no gradient but what rounding leaves.
    least = 0.1 * max(float(jnp.abs(x).max()) for x in leaves)
    for ours, theirs in zip(jax.tree.leaves(found), leaves, strict=True):
        scale = max(float(jnp.abs(theirs).max()), least)
        assert float(jnp.abs(ours - theirs).max()) < 2e-3 * scale


def random_case(space, seed):
    """Active pairs and weights: all pairs, a group, and random ones."""
    rng, kept = np.random.default_rng(seed), space.full()
    if seed == 1:
        nodes = [(stage.num_nodes,) for stage in space.stages]
        kept = [stage.active for stage in group(space, kept, nodes)]
    if seed > 1:
        kept = [stage & (rng.random(stage.shape) < 0.5) for stage in kept]
        for stage in kept:
            stage[-1, 0, 0] = True
    active = [jnp.array(stage) for stage in kept]
    weights = [jnp.array(rng.uniform(0.2, 1, on.shape), jnp.float32) for on in active]
    return weights, active


def stacked(trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


@pytest.fixture(scope="module", params=SPACES)
def case(request, random_params):
    """Of a space cases, a function that makes nets of it, and what loops say."""
    space, macro = SPACES[request.param]
    loops = Supernet(space, macro, wrap=cheap)
    params = random_params(loops)
    images = jax.random.normal(jax.random.key(1), (6, 8, 8, 1))
    cases = [random_case(space, seed) for seed in range(4)]
    one = jit_once(gradients_of(loops.apply))
    return loops, params, images, cases, [one(params, *own, images) for own in cases]


def test_nodes_equal_loops_in_value_and_gradient(case):
    loops, params, images, cases, expected = case
    nodes = dataclasses.replace(loops, add=add_nodes)
    other = jit_once(gradients_of(nodes.apply))
    for own, theirs in zip(cases, expected, strict=True):
        found = other(params, *own, images)
        assert_close(found, theirs)
        for d_weight, on in zip(found[0][1], own[1], strict=True):
            assert not np.any(np.asarray(d_weight)[~np.asarray(on)])
    # A case that must differ.
    with pytest.raises(AssertionError):
        assert_close(expected[0], expected[1])


def test_in_lanes_they_equal_loops_that_are_alone(case):
    """One of the lanes is the whole network, another one a group of it."""
    loops, params, images, cases, expected = case
    nodes = dataclasses.replace(loops, add=add_nodes)
    lanes = jit_once(jax.vmap(gradients_of(nodes.apply), (None, 0, 0, None)))
    assert_close(lanes(params, *stacked(cases), images), stacked(expected))


def test_nodes_equal_loops_with_the_real_operators(random_params):
    """Whose batch norm and convolutions get an axis."""
    loops = Supernet(*SPACES["lchain"])
    nodes = dataclasses.replace(loops, add=add_nodes)
    params = random_params(loops)
    images = jax.random.normal(jax.random.key(1), (6, 8, 8, 1))
    own = random_case(loops.space, 2)
    one, other = (jit_once(gradients_of(net.apply)) for net in (loops, nodes))
    assert_close(other(params, *own, images), one(params, *own, images))


def test_the_gradient_of_a_weight_is_float32_in_bfloat16():
    """Many equal summands, whose sum bfloat16 can't hold."""
    identity = Operator(lambda params, x: x)
    nodes = jnp.ones((2, 1, 1, 1, 3001), jnp.bfloat16)
    active = np.ones((1, 1, 1), bool)

    def total(weights, add):
        out = add((identity,), 0, ({},), weights, active, None, nodes)
        return out[-1].astype(jnp.float32).sum()

    for add in (add_nodes, add_pairs):
        found = jax.grad(total)(jnp.ones((1, 1, 1)), add)
        assert found.dtype == jnp.float32
        assert found.item() == 3001


def test_what_an_inactive_pair_computes_may_be_infinite():
    """Where it is inactive neither the value nor the gradient hears of it."""
    inverse = Operator(lambda params, x: params / x)
    nodes, params = jnp.ones((3, 1, 1, 1, 2)), jnp.ones((2, 2))
    # Node 2 does not read the input, which is 0, nor node 1 what is before it.
    nodes = nodes.at[0].set(0.0)
    active = np.array([[[False], [False]], [[True], [False]]])

    def total(params, nodes):
        out = add_nodes(
            (inverse,), 0, (params,), jnp.ones((2, 2, 1)), active, None, nodes
        )
        return out.sum()

    found = jax.grad(total, (0, 1))(params, nodes)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(found))
    assert np.abs(found[0]).sum() > 0


def traced(space, macro, add, lanes=0):
    """A step's gradients, traced."""
    net = Supernet(space, macro, add=add)
    params = jax.eval_shape(net.init, jax.random.key(0))
    active = [jax.ShapeDtypeStruct(on.shape, bool) for on in space.full()]
    weights = [jax.ShapeDtypeStruct(on.shape, jnp.float32) for on in active]
    images = jax.ShapeDtypeStruct((2, 8, 8, 1), jnp.float32)
    arguments, function = (params, weights, active, images), gradients_of(net.apply)
    if lanes:
        function = jax.vmap(function)
        arguments = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((lanes, *x.shape), x.dtype), arguments
        )
    return jax.jit(function).trace(*arguments)


def choices_of(jaxpr):
    """Conditionals of a trace that data decides, and not the platform."""
    count = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "cond":
            count += equation.params.get("branches_platforms") is None
        for value in jax.tree.leaves(list(equation.params.values())):
            inner = getattr(value, "jaxpr", value)
            count += choices_of(inner) if hasattr(inner, "eqns") else 0
    return count


def loops_of(text):
    """While loops, and those of them whose length the program does not know."""
    conditions = re.findall(r"stablehlo\.while.*?cond \{(.*?)\} do \{", text, re.S)
    unknown = [body for body in conditions if "stablehlo.constant" not in body]
    return len(conditions), len(unknown)


def convolutions(text):
    """How many a program has, with each call of a function that it shares."""
    pattern = r"^  func\.func \w+ @(\w+)\((.*?)^  \}"
    bodies = dict(re.findall(pattern, text, re.S | re.M))

    def count(name):
        called = re.findall(r"call @(\w+)\(", bodies[name])
        own = bodies[name].count("stablehlo.convolution")
        return own + sum(map(count, called))

    return count("main")


def test_on_a_gpu_every_loop_has_a_known_length_and_operators_are_few():
    """Without a GPU: of the program that is handed to its compiler."""
    space = lchain(4, (6, 6, 6))

    def lowered(trace):
        return trace.lower(lowering_platforms=("cuda",)).as_text()

    trace = traced(space, MACRO, add_nodes)
    nodes = lowered(trace)
    # Of each stage there and back.
    assert loops_of(nodes) == (6, 0)
    assert choices_of(trace.jaxpr.jaxpr) == 6
    assert loops_of(lowered(traced(space, MACRO, add_pairs)))[1] > 0
    # Of each stage two depthwise ones, in the long way and in the short one, there, and
    # back with their value and two gradients: 48; 15 of the stem and the inputs.
    assert convolutions(nodes) == 63
    # Lanes are one axis more: no loop, no choice, no operator is added.
    trace = traced(space, MACRO, add_nodes, lanes=3)
    many = lowered(trace)
    assert loops_of(many) == (6, 0)
    assert choices_of(trace.jaxpr.jaxpr) == 6
    assert convolutions(many) == convolutions(nodes)
