"""Partial channels against a plain split and shuffle."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from ifnas_jax import config as config_lib
from ifnas_jax.methods import make_method
from ifnas_jax.methods.pcdarts import PartialChannels
from ifnas_jax.nn.ops import OPERATORS

WIDTH = 8


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(3, 6, 6, WIDTH)).astype(np.float32)


class Affine(nn.Module):
    """Not the identity, and of any stride: 3x + 1 at every stride-th pixel."""

    stride: int = 1

    def __call__(self, x, train):
        del train
        return 3 * x[:, :: self.stride, :: self.stride] + 1


def channel_shuffle(x, groups):
    """PC-DARTS' `channel_shuffle`, of [batch, channels, height, width]."""
    batch, channels, height, width = x.shape
    x = x.reshape(batch, groups, channels // groups, height, width)
    return x.swapaxes(1, 2).reshape(batch, channels, height, width)


def slow_partial(x, operator, parts, stride):
    """PC-DARTS' MixedOp, of one operator."""
    x = np.moveaxis(x, -1, 1)
    first, rest = x[:, : WIDTH // parts], x[:, WIDTH // parts :]
    first = np.moveaxis(operator(np.moveaxis(first, 1, -1)), -1, 1)
    if stride == 2:
        batch, channels, height, width = rest.shape
        rest = rest.reshape(batch, channels, height // 2, 2, width // 2, 2)
        rest = rest.max(axis=(3, 5))
    joined = np.concatenate([first, rest], axis=1)
    return np.moveaxis(channel_shuffle(joined, parts), 1, -1)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("stride", [1, 2])
def test_one_part_is_the_plain_operator(images, name, stride):
    plain = OPERATORS[name](WIDTH, stride=stride)
    wrapped = PartialChannels(OPERATORS[name](WIDTH, stride=stride), stride, parts=1)

    def apply(module, params):
        def run(x):
            variables = {"params": params}
            return module.apply(variables, x, True, mutable=["batch_stats"])[0]

        return jax.jit(run)(images)

    variables = jax.jit(plain.init, static_argnums=2)(jax.random.key(0), images, True)
    params = variables.get("params", {})
    found = apply(wrapped, {"operator": params} if params else {})
    np.testing.assert_array_equal(found, apply(plain, params))
    assert found.shape == (3, 6 // stride, 6 // stride, WIDTH)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("parts", [2, 4])
def test_the_other_channels_pass_by_and_are_shuffled_in(images, parts, stride):
    operator = Affine(stride)
    found = PartialChannels(operator, stride, parts).apply({}, images, True)
    expected = slow_partial(images, lambda x: operator(x, True), parts, stride)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    # With as many groups as channels in a part it would be another shuffle.
    wrong = slow_partial(images, lambda x: operator(x, True), WIDTH // parts, stride)
    assert not np.allclose(found, wrong)


@pytest.mark.parametrize("stride", [1, 2])
def test_operators_sum_to_the_weighted_edge(images, stride):
    """Σ_o b·softmax(α)_o · wrapped_o is b times PC-DARTS' mixed edge."""
    edge, alpha, parts = 0.3, np.array([0.4, -1.1]), 4
    softmax = np.exp(alpha) / np.exp(alpha).sum()
    operators = [Affine(stride), lambda x, train: -2 * x[:, ::stride, ::stride] ** 2]

    class Square(nn.Module):
        def __call__(self, x, train):
            return operators[1](x, train)

    found = sum(
        edge * weight * PartialChannels(module, stride, parts).apply({}, images, True)
        for weight, module in zip(softmax, (operators[0], Square()), strict=True)
    )

    def mixed(x):
        return sum(w * o(x, True) for w, o in zip(softmax, operators, strict=True))

    expected = edge * slow_partial(images, mixed, parts, stride)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("precursors", [1, 3])
def test_what_passes_by_weighs_one_at_every_node(precursors):
    config = config_lib.default("mnist5k")
    config.method = "pcdarts"
    config.space.update(num_precursors=precursors, nodes=(4, 3, 4))
    config_lib.resolve(config, None)
    space = config_lib.space(config)
    method, rng = (
        make_method(config, space, config_lib.macro(config)),
        np.random.default_rng(0),
    )
    shapes = jax.eval_shape(method.init, jax.random.key(0))
    arch = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)
    now = jax.tree.map(lambda mask: mask[0], method.masks(space.full(), 0))

    class Zero(nn.Module):
        def __call__(self, x, train):
            return 0 * x

    # Only what passes by is left, 3/4 of the channels.
    y = method.wrap(Zero(), 1).apply({}, np.ones((1, 1, 1, WIDTH), np.float32), True)
    once = float(y.sum()) / (WIDTH * 3 / 4)
    for weights in method.weights(arch, now):
        np.testing.assert_allclose(weights.sum(axis=(1, 2)) * once, 1, rtol=1e-5)
