import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ifnas_jax.nn import ops


def convolution(x, kernel):
    return lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


@pytest.mark.parametrize("shape", [(2, 7, 7, 3), (3, 5, 8, 4), (1, 1, 1, 2)])
def test_depthwise_equals_the_convolution_in_value_and_gradients(shape):
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], shape)
    kernel = jax.random.normal(keys[1], (3, 3, 1, shape[-1]))
    cotangent = jax.random.normal(keys[2], shape)
    ours, pull = jax.vjp(jax.jit(ops.depthwise_conv_3x3), x, kernel)
    theirs, expected_pull = jax.vjp(convolution, x, kernel)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    for a, b in zip(pull(cotangent), expected_pull(cotangent), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("platform", "convolutions"), [("cpu", 0), ("tpu", 3)])
def test_only_the_cpu_leaves_the_native_convolution(platform, convolutions):
    """Forward and both gradients: three convolutions on TPU, none on the CPU."""
    x, kernel = jnp.ones((2, 6, 6, 4)), jnp.ones((3, 3, 1, 4))

    @jax.jit
    def gradient(x, kernel):
        y, pull = jax.vjp(ops.depthwise_conv_3x3, x, kernel)
        return y, pull(y)

    text = gradient.trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()
    assert text.count("stablehlo.convolution") == convolutions


def test_running_statistics_are_those_of_pytorch():
    """momentum 0.1 in PyTorch's terms: running = 0.9·running + 0.1·batch."""
    x = jax.random.normal(jax.random.key(0), (64, 4)) * 3 + 1
    norm = ops.BatchNorm()
    variables = norm.init(jax.random.key(0), x, train=True)
    _, new = norm.apply(variables, x, train=True, mutable=["batch_stats"])
    stats = new["batch_stats"]["norm"]
    np.testing.assert_allclose(stats["mean"], 0.1 * x.mean(0), rtol=1e-4)
    np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * x.var(0), rtol=1e-4)


def test_every_operator_keeps_the_shape():
    x = jnp.ones((2, 6, 6, 8))
    for operator in ops.OPERATORS.values():
        y, _ = operator(8).init_with_output(jax.random.key(0), x, train=True)
        assert y.shape == x.shape
        assert issubclass(operator, nn.Module)
