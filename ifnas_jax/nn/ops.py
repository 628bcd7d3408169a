"""The operators of an edge, and what they are made of.

Images are [batch, height, width, channels]. `train` says whether batch norm uses the
statistics of the batch or the running ones.
"""

import functools
from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

DIMENSIONS = ("NHWC", "HWIO", "NHWC")

# Of batch norm, as in the reference.
EPSILON, MOMENTUM = 1e-5, 0.9


def _native(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """The depthwise convolution as one XLA convolution."""
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=((1, 1), (1, 1)),
        dimension_numbers=DIMENSIONS,
        feature_group_count=x.shape[-1],
    )


def _windows(x: jax.Array, stride: int = 1) -> list[jax.Array]:
    """The nine shifted copies of x that a 3×3 kernel sees, row by row."""
    height, width = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return [
        padded[:, i : i + height : stride, j : j + width : stride]
        for i in range(3)
        for j in range(3)
    ]


def _shifted(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """The same as `_native`, as nine multiply-adds that XLA fuses into one loop."""
    taps = kernel.reshape(9, -1)
    windows = _windows(x, stride)
    return sum(window * tap for window, tap in zip(windows, taps, strict=True))


def _shifted_input_grad(x, kernel, grad, stride: int) -> jax.Array:
    """Gradient with respect to x: the same sum with the kernel flipped."""
    if stride > 1:
        # Where the window did not start, it has no gradient.
        rest = [
            size - stride * (out - 1) - 1
            for size, out in zip(x.shape[1:3], grad.shape[1:3], strict=True)
        ]
        spread = [(0, 0, 0), *((0, more, stride - 1) for more in rest), (0, 0, 0)]
        grad = lax.pad(grad, jnp.zeros((), grad.dtype), spread)
    return _shifted(grad, kernel[::-1, ::-1])


def _shifted_kernel_grad(x: jax.Array, grad: jax.Array, stride: int) -> jax.Array:
    """Gradient with respect to the kernel: nine sums over batch, height and width.

    One variadic reduction over the width reads x and grad once and is split over the
    cores by batch and height; the small rest is summed after it.
    """
    products = [(w * grad).astype(jnp.float32) for w in _windows(x, stride)]
    zeros = [jnp.zeros((), jnp.float32)] * 9
    add = lambda a, b: [p + q for p, q in zip(a, b, strict=True)]  # noqa: E731
    rows = lax.reduce(products, zeros, add, dimensions=(2,))
    sums = jnp.stack([row.sum(axis=(0, 1)) for row in rows])
    return sums.reshape(3, 3, 1, -1).astype(x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def depthwise_conv_3x3(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """Depthwise 3×3 convolution, zero padded.

    XLA's CPU backend runs a depthwise convolution 25 to 55 times slower than the nine
    shifted multiply-adds used there; other platforms keep the convolution. The
    gradients are written out because those that JAX derives from shifted sums are
    slow (they scatter into the padded image).

    Args:
      x: [batch, height, width, channels].
      kernel: [3, 3, 1, channels].
      stride: of both directions.

    Returns:
      [batch, ceil(height / stride), ceil(width / stride), channels].
    """
    return _depthwise(x, kernel, stride)


def _depthwise(x, kernel, stride):
    return lax.platform_dependent(
        x,
        kernel,
        cpu=functools.partial(_shifted, stride=stride),
        default=functools.partial(_native, stride=stride),
    )


def _depthwise_forward(x, kernel, stride):
    # Not the function itself: second order differentiates this one forwards.
    return _depthwise(x, kernel, stride), (x, kernel)


def _depthwise_backward(stride, residuals, grad):
    x, kernel = residuals

    def shifted(x, kernel, grad):
        d_x = _shifted_input_grad(x, kernel, grad, stride)
        return d_x, _shifted_kernel_grad(x, grad, stride)

    def native(x, kernel, grad):
        return jax.vjp(lambda x, k: _native(x, k, stride), x, kernel)[1](grad)

    return lax.platform_dependent(x, kernel, grad, cpu=shifted, default=native)


depthwise_conv_3x3.defvjp(_depthwise_forward, _depthwise_backward)


class DepthwiseConv3x3(nn.Module):
    """`depthwise_conv_3x3` with a learned kernel, no bias."""

    dtype: jnp.dtype = jnp.float32
    stride: int = 1

    @nn.compact
    def __call__(self, x):
        """[batch, height, width, channels] to [batch, h, w, channels]."""
        shape = (3, 3, 1, x.shape[-1])
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        kernel = kernel.astype(self.dtype)
        return depthwise_conv_3x3(x.astype(self.dtype), kernel, self.stride)


@jax.custom_vjp
def pointwise_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """1×1 convolution, as a matrix product: faster on the CPU, and the same elsewhere.

    XLA's CPU backend gets the kernel's gradient, a product over all pixels, by copying
    x transposed on one core, and a search step spends a fifth of its time on that. It
    recognises the same as a sum of outer products, and does it in place.

    Args:
      x: [batch, height, width, channels].
      kernel: [channels, features].

    Returns:
      [batch, height, width, features].
    """
    return x @ kernel


def _pointwise_forward(x, kernel):
    return x @ kernel, (x, kernel)


def _pointwise_backward(residuals, grad):
    x, kernel = residuals

    def product(x, grad):
        return jnp.einsum("bhwi,bhwo->io", x, grad)

    def fused(x, grad):
        x, grad = x.reshape(-1, x.shape[-1], 1), grad.reshape(-1, 1, grad.shape[-1])
        return (x * grad).sum(axis=0)

    d_kernel = lax.platform_dependent(x, grad, cpu=fused, default=product)
    return grad @ kernel.T, d_kernel


pointwise_conv.defvjp(_pointwise_forward, _pointwise_backward)


class PointwiseConv(nn.Module):
    """`pointwise_conv` with a learned kernel, no bias."""

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        """[batch, height, width, channels] to [batch, height, width, features]."""
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        return pointwise_conv(x.astype(self.dtype), kernel.astype(self.dtype))


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
        maps, zeros = [f(first, second) for f in of], [jnp.zeros(())] * len(of)
        add = lambda a, b: [p + q for p, q in zip(a, b, strict=True)]  # noqa: E731
        rows = lax.reduce(maps, zeros, add, dimensions=(first.ndim - 2,))
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


def _normalized_forward(x, scale, bias, axis_name):
    wide, count = x.astype(jnp.float32), x.size // x.shape[-1]
    sums = channel_sums(x, x, lambda x, _: x, lambda x, _: x * x)
    mean, square = _over_devices([one / count for one in sums], axis_name)
    variance = jnp.maximum(square - mean * mean, 0.0)
    inverse = lax.rsqrt(variance + EPSILON)
    y = ((wide - mean) * (inverse * scale) + bias).astype(x.dtype)
    return (y, mean, variance), (x, scale, mean, inverse)


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


class BatchNorm(nn.Module):
    """Batch norm with the constants of the reference; statistics in float32.

    Attributes:
      sync: whether the statistics are taken over all devices of the axis "batch".
    """

    dtype: jnp.dtype = jnp.float32
    sync: bool = False

    @nn.compact
    def __call__(self, x, train: bool):
        """[..., channels] to the same shape."""
        shape = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        running = [
            self.variable("batch_stats", name, jnp.full, shape, value)
            for name, value in (("mean", 0.0), ("var", 1.0))
        ]
        x = x.astype(self.dtype)
        if not train:
            mean, variance = (one.value for one in running)
            factor = scale * lax.rsqrt(variance + EPSILON)
            return ((x - mean) * factor + bias).astype(self.dtype)
        axis_name = "batch" if self.sync and not self.is_initializing() else None
        y, *found = normalized(x, scale, bias, axis_name)
        if not self.is_initializing():
            for old, new in zip(running, found, strict=True):
                old.value = MOMENTUM * old.value + (1 - MOMENTUM) * new
        return y


class Conv(nn.Module):
    """A convolution without bias, then batch norm; padded as in PyTorch."""

    features: int
    kernel: int
    stride: int = 1
    dtype: jnp.dtype = jnp.float32
    sync: bool = False

    @nn.compact
    def __call__(self, x, train: bool):
        """[batch, height, width, channels] to [batch, h, w, features]."""
        side = self.kernel // 2
        x = nn.Conv(
            self.features,
            (self.kernel, self.kernel),
            strides=self.stride,
            padding=((side, side), (side, side)),
            use_bias=False,
            dtype=self.dtype,
            name="conv",
        )(x)
        return BatchNorm(self.dtype, self.sync, name="norm")(x, train)


class Sep(nn.Module):
    """ReLU, depthwise 3×3, pointwise 1×1, batch norm."""

    features: int
    dtype: jnp.dtype = jnp.float32
    sync: bool = False
    stride: int = 1

    @nn.compact
    def __call__(self, x, train: bool):
        """[batch, height, width, channels] to [batch, h, w, features]."""
        x = nn.relu(x)
        x = DepthwiseConv3x3(self.dtype, self.stride, name="depthwise")(x)
        x = PointwiseConv(self.features, self.dtype, name="point")(x)
        return BatchNorm(self.dtype, self.sync, name="norm")(x, train)


class FactorizedReduce(nn.Module):
    """ReLU, two 1×1 convolutions of stride 2, batch norm.

    One on the even and one on the odd pixels; each makes half of the features.
    """

    features: int
    dtype: jnp.dtype = jnp.float32
    sync: bool = False

    @nn.compact
    def __call__(self, x, train: bool):
        """[batch, 2h, 2w, channels] to [batch, h, w, features]."""
        x, half = nn.relu(x), self.features // 2
        how = {"use_bias": False, "dtype": self.dtype}
        even = nn.Dense(half, **how, name="even")(x[:, ::2, ::2])
        odd = nn.Dense(half, **how, name="odd")(x[:, 1::2, 1::2])
        x = jnp.concatenate([even, odd], axis=-1)
        return BatchNorm(self.dtype, self.sync, name="norm")(x, train)


class SepConv3x3(nn.Module):
    """`Sep` twice, at one width; the first has the stride."""

    features: int
    dtype: jnp.dtype = jnp.float32
    sync: bool = False
    stride: int = 1

    # The path of the parameters of the batch norm whose output is the operator's.
    last_norm = ("sep2", "norm")

    @nn.compact
    def __call__(self, x, train: bool):
        """[batch, height, width, features] to [batch, h, w, features]."""
        how = {"dtype": self.dtype, "sync": self.sync}
        x = Sep(self.features, **how, stride=self.stride, name="sep1")(x, train)
        return Sep(self.features, **how, name="sep2")(x, train)


class SkipConnect(nn.Module):
    """The identity, or a factorized reduction where the shape is halved."""

    features: int
    dtype: jnp.dtype = jnp.float32
    sync: bool = False
    stride: int = 1

    @property
    def last_norm(self) -> tuple[str, ...] | None:
        """As of `SepConv3x3`; the identity has none."""
        return ("reduce", "norm") if self.stride > 1 else None

    @nn.compact
    def __call__(self, x, train: bool):
        """[batch, height, width, features] to [batch, h, w, features]."""
        if self.stride == 1:
            return x
        reduce = FactorizedReduce(self.features, self.dtype, self.sync, name="reduce")
        return reduce(x, train)


OPERATORS: Mapping[str, type[nn.Module]] = {
    "sep_conv_3x3": SepConv3x3,
    "skip_connect": SkipConnect,
}
