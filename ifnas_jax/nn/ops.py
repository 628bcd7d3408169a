"""The operators of an edge, and what they are made of.

Images are [batch, height, width, channels]. `train` says whether batch norm uses the
statistics of the batch or the running ones.
"""

import functools
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


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
        norm = nn.BatchNorm(
            use_running_average=not train,
            momentum=0.9,
            epsilon=1e-5,
            dtype=self.dtype,
            axis_name="batch" if self.sync else None,
            name="norm",
        )
        return norm(x)


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
