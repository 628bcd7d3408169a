import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ifnas_jax.nn import normalization, ops, primitives


def convolution(x, kernel, stride):
    side = kernel.shape[0] // 2
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        [(side, side), (side, side)],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("shape", "size"),
    [
        *((shape, 3) for shape in [(2, 7, 7, 3), (2, 6, 6, 3), (1, 1, 1, 2)]),
        ((3, 5, 8, 4), 3),
        ((2, 6, 7, 3), 5),
    ],
)
def test_depthwise_equals_the_convolution_in_value_and_gradients(shape, size, stride):
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], shape)
    kernel = jax.random.normal(keys[1], (size, size, 1, shape[-1]))
    depthwise = jax.jit(lambda x, k: primitives.depthwise_conv(x, k, stride))
    ours, pull = jax.vjp(depthwise, x, kernel)
    theirs, expected_pull = jax.vjp(lambda x, k: convolution(x, k, stride), x, kernel)
    cotangent = jax.random.normal(keys[2], theirs.shape)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    for a, b in zip(pull(cotangent), expected_pull(cotangent), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("platform", "convolutions"), [("cpu", 0), ("cuda", 3), ("tpu", 3)]
)
def test_only_the_cpu_leaves_the_native_convolution(platform, convolutions, stride):
    """Forward and both gradients: three convolutions on TPU, none on the CPU."""
    x, kernel = jnp.ones((2, 6, 6, 4)), jnp.ones((3, 3, 1, 4))

    @jax.jit
    def gradient(x, kernel):
        y, pull = jax.vjp(
            lambda x, k: primitives.depthwise_conv(x, k, stride), x, kernel
        )
        return y, pull(y)

    text = gradient.trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()
    assert text.count("stablehlo.convolution") == convolutions


@pytest.mark.parametrize("shape", [(2, 7, 7, 3), (3, 1, 5, 4)])
def test_pointwise_equals_the_convolution_in_value_and_gradients(shape):
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], shape)
    kernel = jax.random.normal(keys[1], (shape[-1], 6))

    def reference(x, kernel):
        return lax.conv_general_dilated(
            x,
            kernel[None, None],
            (1, 1),
            "VALID",
            dimension_numbers=primitives.DIMENSIONS,
        )

    ours, pull = jax.vjp(jax.jit(primitives.pointwise_conv), x, kernel)
    theirs, expected_pull = jax.vjp(reference, x, kernel)
    cotangent = jax.random.normal(keys[2], theirs.shape)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    for a, b in zip(pull(cotangent), expected_pull(cotangent), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("platform", "products"), [("cpu", 2), ("tpu", 3)])
def test_only_the_cpu_sums_outer_products(platform, products):
    """Forward and both gradients: three matrix products on TPU."""
    x, kernel = jnp.ones((2, 6, 6, 4)), jnp.ones((4, 5))

    @jax.jit
    def gradient(x, kernel):
        y, pull = jax.vjp(primitives.pointwise_conv, x, kernel)
        return y, pull(y)

    text = gradient.trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()
    assert text.count("stablehlo.dot_general") == products


def test_running_statistics_have_the_momentum_of_pytorch():
    """0.1 in its terms, running = 0.9·running + 0.1·batch, of the biased variance."""
    x = jax.random.normal(jax.random.key(0), (64, 4)) * 3 + 1
    norm = ops.BatchNorm()
    variables = norm.init(jax.random.key(0), x, train=True)
    _, new = norm.apply(variables, x, train=True, mutable=["batch_stats"])
    stats = new["batch_stats"]
    np.testing.assert_allclose(stats["mean"], 0.1 * x.mean(0), rtol=1e-4)
    np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * x.var(0), rtol=1e-4)


@pytest.mark.parametrize("shape", [(32, 5), (4, 6, 3, 5)])
def test_batch_norm_is_that_of_flax(shape):
    """Output, statistics, gradients, and the derivative of a gradient."""
    keys = jax.random.split(jax.random.key(0), 4)
    x = 3 * jax.random.normal(keys[0], shape) + 1
    scale, bias = 1 + jax.random.normal(keys[1], (2, shape[-1]))
    weight = jax.random.normal(keys[2], shape)
    direction = jax.random.normal(keys[3], shape)

    def ours(x, scale, bias):
        return jnp.vdot(weight, normalization.normalized(x, scale, bias)[0] ** 3)

    def theirs(x, scale, bias):
        variables = {"params": {"scale": scale, "bias": bias}}
        norm = nn.BatchNorm(use_running_average=False, epsilon=1e-5)
        y, _ = norm.apply(variables, x, mutable=["batch_stats"])
        return jnp.vdot(weight, y**3)

    def twice(loss):
        slope = lambda x: jnp.vdot(jax.grad(loss)(x, scale, bias), direction)  # noqa: E731
        return jax.grad(slope)(x)

    near = functools.partial(np.testing.assert_allclose, rtol=2e-3, atol=2e-3)
    near(ours(x, scale, bias), theirs(x, scale, bias))
    expected = jax.grad(theirs, argnums=(0, 1, 2))(x, scale, bias)
    jax.tree.map(near, jax.grad(ours, argnums=(0, 1, 2))(x, scale, bias), expected)
    near(twice(ours), twice(theirs))
    _, mean, variance = normalization.normalized(x, scale, bias)
    axes = tuple(range(x.ndim - 1))
    near(mean, x.mean(axes))
    near(variance, x.var(axes))


@pytest.mark.parametrize("size", [(6, 8), (7, 5), (1, 2)])
def test_the_gradient_of_the_pool_is_that_of_xla(size):
    """Also where maxima are equal: the first takes it all."""
    x = jax.random.randint(jax.random.key(0), (3, *size, 4), -2, 2).astype(jnp.float32)

    def theirs(x):
        return nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))

    y, pull = jax.vjp(jax.jit(primitives.max_pool_3x3), x)
    expected, pull_theirs = jax.vjp(theirs, x)
    np.testing.assert_array_equal(y, expected)
    grad = jax.random.normal(jax.random.key(1), y.shape)
    np.testing.assert_allclose(pull(grad)[0], pull_theirs(grad)[0], rtol=1e-6)


@pytest.mark.parametrize(("platform", "count"), [("cpu", 0), ("cuda", 0), ("tpu", 1)])
def test_only_tpus_keep_the_native_gradient_of_the_pool(platform, count):
    pull = jax.jit(lambda x, g: jax.vjp(primitives.max_pool_3x3, x)[1](g))
    traced = pull.trace(jnp.ones((2, 6, 6, 4)), jnp.ones((2, 3, 3, 4)))
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert text.count("stablehlo.select_and_scatter") == count


@pytest.mark.parametrize("stride", [1, 2])
def test_every_operator_keeps_the_width_and_has_its_stride(stride):
    x = jnp.ones((2, 6, 6, 8))
    for operator in ops.OPERATORS.values():
        module = operator(8, stride=stride)
        y, _ = module.init_with_output(jax.random.key(0), x, train=True)
        assert y.shape == (2, 6 // stride, 6 // stride, 8)
        assert issubclass(operator, nn.Module)


def test_factorized_reduction_reads_even_and_odd_pixels():
    x = np.random.default_rng(0).normal(size=(3, 4, 6, 5)).astype(np.float32)
    module = ops.FactorizedReduce(8)
    y, variables = module.init_with_output(jax.random.key(0), x, train=True)
    assert y.shape == (3, 2, 3, 8)
    kernels = [variables["params"][name]["kernel"] for name in ("even", "odd")]
    expected = np.concatenate(
        [np.maximum(x[:, i::2, i::2], 0) @ kernels[i] for i in range(2)], axis=-1
    )
    expected -= expected.mean(axis=(0, 1, 2))
    expected /= np.sqrt(expected.var(axis=(0, 1, 2)) + 1e-5)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
