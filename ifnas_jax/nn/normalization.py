"""Batch norm with the statistics of the batch, and sums over all but the channels."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

# As in the reference.
EPSILON = 1e-5


@jax.custom_jvp
def _row_sums(*maps: jax.Array) -> list[jax.Array]:
    """Sums over the last axis but the channels', all in one reduction."""
    zeros = [jnp.zeros((), jnp.float32)] * len(maps)
    add = lambda a, b: [p + q for p, q in zip(a, b, strict=True)]  # noqa: E731
    return lax.reduce(list(maps), zeros, add, dimensions=(maps[0].ndim - 2,))


@_row_sums.defjvp
def _row_sums_jvp(maps, tangents):
    # JAX has no rule for sums of several arrays at once, but a tree of additions.
    return _row_sums(*maps), [tangent.sum(axis=-2) for tangent in tangents]


def channel_sums(first, second, *of: Callable) -> list[jax.Array]:
    """For each function of two maps, the sum of what it gives over all but channels.

    XLA's CPU backend makes a pass, or two, of each sum; one variadic reduction over
    one axis reads the maps once and is split over the cores by the others.

    Args:
      first: [..., channels].
      second: the same.
      of: (element of `first`, element of `second`) -> number; vectorised.

    Returns:
      float32 [channels] for each of `of`.
    """

    def plain(first, second):
        return [f(first, second).sum(axis=tuple(range(first.ndim - 1))) for f in of]

    def variadic(first, second):
        rows = _row_sums(*(f(first, second) for f in of))
        return [row.sum(axis=tuple(range(row.ndim - 1))) for row in rows]

    first, second = first.astype(jnp.float32), second.astype(jnp.float32)
    return lax.platform_dependent(first, second, cpu=variadic, default=plain)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def normalized(
    x: jax.Array, scale: jax.Array, bias: jax.Array, axis_name: str | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Batch norm with the statistics of the batch, in float32.

    The gradient is written out (Ioffe and Szegedy, section 3): two sums over the batch
    and one pass, where what JAX derives keeps and reads several more maps.

    Args:
      x: [..., channels].
      scale: [channels].
      bias: [channels].
      axis_name: the devices' axis over which statistics are taken; None: each its own.

    Returns:
      The normalized x in its own type, and the statistics: mean and (biased) variance,
      [channels], through which no gradient flows.
    """
    return _normalized_forward(x, scale, bias, axis_name)[0]


def _over_devices(means, axis_name):
    return means if axis_name is None else lax.pmean(means, axis_name)


# So that the many of a network share one trace of it, and one of its gradient.
@functools.partial(jax.jit, static_argnums=3)
def _normalized_forward(x, scale, bias, axis_name):
    wide, count = x.astype(jnp.float32), x.size // x.shape[-1]
    sums = channel_sums(x, x, lambda x, _: x, lambda x, _: x * x)
    mean, square = _over_devices([one / count for one in sums], axis_name)
    variance = jnp.maximum(square - mean * mean, 0.0)
    inverse = lax.rsqrt(variance + EPSILON)
    y = ((wide - mean) * (inverse * scale) + bias).astype(x.dtype)
    return (y, mean, variance), (x, scale, mean, inverse)


@functools.partial(jax.jit, static_argnums=0)
def _normalized_backward(axis_name, residuals, grads):
    x, scale, mean, inverse = residuals
    grad, centred = grads[0].astype(jnp.float32), x.astype(jnp.float32) - mean
    # This device's own sums are its parameters' gradients.
    d_bias, d_scale = channel_sums(
        grad, x, lambda g, x: g, lambda g, x: g * (x - mean) * inverse
    )
    count = x.size // x.shape[-1]
    means = _over_devices([d_bias / count, d_scale / count], axis_name)
    d_x = (inverse * scale) * (grad - means[0] - centred * (inverse * means[1]))
    return d_x.astype(x.dtype), d_scale, d_bias


normalized.defvjp(_normalized_forward, _normalized_backward)
