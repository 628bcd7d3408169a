"""The architecture's gradient against central differences."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cheap import cheap
from plain_loop import loop_over_the_graph

from ifnas_jax import config as config_lib
from ifnas_jax.architecture.cost import Macro
from ifnas_jax.methods import make_method
from ifnas_jax.nn.nodes import add_nodes
from ifnas_jax.nn.supernet import Supernet
from ifnas_jax.searching import bilevel
from ifnas_jax.training import cross_entropy, jit_once

RATE, MOMENTUM, DECAY = 0.3, 0.9, 0.05


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def normal(rng, *shape):
    return jnp.array(rng.normal(size=shape), dtype=float)


def tiny(seed):
    """Losses on two batches of a two-layer network whose inputs α weights."""
    rng = np.random.default_rng(seed)
    params = {"first": normal(rng, 3, 4), "second": normal(rng, 4)}
    trace = {"first": normal(rng, 3, 4), "second": normal(rng, 4)}
    arch = {"alpha": normal(rng, 3)}

    def loss_on(x, y):
        def loss(w, a):
            hidden = jnp.tanh((x * jax.nn.sigmoid(a["alpha"])) @ w["first"])
            return jnp.mean((hidden @ w["second"] - y) ** 2)

        return loss

    train, valid = (loss_on(normal(rng, 6, 3), normal(rng, 6)) for _ in range(2))
    return train, valid, params, arch, trace


def unrolled(loss, arch_loss, params, trace):
    """α -> L_val(w - ξ(m·t + ∇L_train(w, α) + d·w), α)."""

    def value(arch):
        gradient = jax.grad(loss)(params, arch)
        ahead = jax.tree.map(
            lambda w, g, t: w - RATE * (MOMENTUM * t + g + DECAY * w),
            params,
            gradient,
            trace,
        )
        return arch_loss(ahead, arch)

    return value


def second_order(loss, arch_loss, params, arch, trace, **changes):
    constants = {"rate": RATE, "momentum": MOMENTUM, "weight_decay": DECAY}
    return bilevel.second_order(
        loss, arch_loss, params, arch, trace, **{**constants, **changes}
    )


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("seed", range(3))
def test_second_order_is_the_gradient_through_the_virtual_step(seed):
    train, valid, params, arch, trace = tiny(seed)
    value, eps = jax.jit(unrolled(train, valid, params, trace)), 1e-5
    expected = [
        (value({"alpha": arch["alpha"] + d}) - value({"alpha": arch["alpha"] - d}))
        / (2 * eps)
        for d in eps * np.eye(3)
    ]
    found = second_order(train, valid, params, arch, trace)["alpha"]
    assert found.dtype == jnp.float64
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    # Each part of it is needed.
    scale = np.abs(expected).max()
    for other in (
        bilevel.first_order(valid, params, arch)["alpha"],
        second_order(train, valid, params, arch, trace, momentum=0.0)["alpha"],
        second_order(train, valid, params, arch, trace, weight_decay=0.0)["alpha"],
        second_order(train, train, params, arch, trace)["alpha"],
    ):
        assert np.abs(other - np.array(expected)).max() > 1e-3 * scale


@pytest.mark.usefixtures("float64")
def test_without_a_virtual_step_it_is_the_first_order():
    train, valid, params, arch, trace = tiny(0)
    np.testing.assert_allclose(
        second_order(train, valid, params, arch, trace, rate=0.0)["alpha"],
        bilevel.first_order(valid, params, arch)["alpha"],
        rtol=1e-12,
    )


@pytest.mark.usefixtures("float64")
def test_two_devices_reduce_to_the_gradient_on_both_batches():
    """With `reduce` the mean over an axis; `vmap` stands for the devices."""
    train, valid, params, arch, trace = tiny(0)
    more_train, more_valid = tiny(1)[:2]

    def both(first, second):
        return lambda w, a: (first(w, a) + second(w, a)) / 2

    def on_device(index):
        def pick(first, second):
            return lambda w, a: jax.lax.cond(index == 0, first, second, w, a)

        gradient = second_order(
            pick(train, more_train),
            pick(valid, more_valid),
            params,
            arch,
            trace,
            reduce=lambda tree: jax.lax.pmean(tree, "batch"),
        )
        return jax.lax.pmean(gradient, "batch")

    found = jax.vmap(on_device, axis_name="batch")(jnp.arange(2))["alpha"]
    expected = second_order(
        both(train, more_train), both(valid, more_valid), params, arch, trace
    )["alpha"]
    np.testing.assert_allclose(found[0], expected, rtol=1e-10)
    np.testing.assert_array_equal(found[0], found[1])


SPACES = {
    "lchain": {"num_precursors": 2, "nodes": (2, 1, 1)},
    # With reductions, whose operators have strides and shapes of their own.
    "darts": {"num_precursors": 2, "nodes": (1,)},
}


def random_params(net, rng):
    """Batch norm's scales near 1, kernels by their inputs."""

    def draw(path, shape):
        name, fan_in = path[-1].key, max(1, np.prod(shape.shape[-4:-1]))
        spread = normal(rng, *shape.shape)
        if name == "kernel":
            return spread / np.sqrt(fan_in)
        return (name == "scale") + 0.1 * spread

    shapes = jax.eval_shape(net.init, jax.random.key(0))
    return jax.tree_util.tree_map_with_path(draw, shapes)


def network(name):
    """A super-network, the method DARTS and the masks of the whole."""
    config = config_lib.default("mnist5k")
    config.method = "darts"
    config.space.update(name=name, **SPACES[name])
    cells = 0 if name == "lchain" else 3
    space, macro = config_lib.space(config), Macro(2, 3, 8, 1, "small", cells=cells)
    method = make_method(config, space, macro)
    masks = jax.tree.map(lambda mask: mask[0], method.masks(space.full(), 0))
    return Supernet(space, macro, wrap=None if cells else cheap), method, masks


@pytest.mark.parametrize("name", SPACES)
def test_through_the_super_network(name):
    """Against plain reverse mode through the virtual step, without the custom loop.

    A chain, whose pairs are added in both ways, has cheap operators; cells, the real
    ones. Not against differences: ReLUs make the virtual step jump as α moves.
    """
    (net, method, masks), rng = network(name), np.random.default_rng(0)
    active = [stage.active for stage in masks]
    params = random_params(net, rng)
    trace = jax.tree.map(lambda w: 0.1 * normal(rng, *w.shape), params)
    arch = {"alpha": tuple(normal(rng, *stage.shape) for stage in active)}
    batches = [
        (normal(rng, 6, 8, 8, 1), jnp.array(rng.integers(0, 3, 6))) for _ in range(2)
    ]

    def losses(apply):
        def loss_on(images, labels):
            def loss(w, a):
                logits = apply(w, method.weights(a, masks), active, images)
                return cross_entropy(logits, labels)

            return loss

        return [loss_on(*batch) for batch in batches]

    plain = losses(functools.partial(loop_over_the_graph, net))
    expected = jit_once(jax.grad(unrolled(*plain, params, trace)))(arch)["alpha"]
    scale = max(np.abs(x).max() for x in expected)

    def check(net):
        ours = losses(net.apply)
        gradient = jit_once(lambda a, r: second_order(*ours, params, a, trace, rate=r))
        found, first = (gradient(arch, rate)["alpha"] for rate in (RATE, 0.0))
        for second, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(second, theirs, atol=1e-4 * scale)
        gaps = [np.abs(x - y).max() for x, y in zip(first, expected, strict=True)]
        assert max(gaps) > 0.1 * scale

    check(net)
    if name == "lchain":
        check(dataclasses.replace(net, add=add_nodes))
