"""The operators of an edge, and what they are made of, as Linen modules.

Images are [batch, height, width, channels]. `train` says whether batch norm uses the
statistics of the batch or the running ones.
"""

from collections.abc import Mapping

import flax.linen as nn
import jax.numpy as jnp
from jax import lax

from ifnas_jax.nn import initial
from ifnas_jax.nn.normalization import EPSILON, normalized
from ifnas_jax.nn.primitives import depthwise_conv, pointwise_conv
from ifnas_jax.operators.own import OwnOperator

# Of the running statistics, as in the reference.
MOMENTUM = 0.9


class DepthwiseConv(nn.Module):
    """`depthwise_conv` with a learned kernel of odd size, no bias."""

    size: int
    dtype: jnp.dtype = jnp.float32
    stride: int = 1

    @nn.compact
    def __call__(self, x):
        """[batch, height, width, channels] to [batch, h, w, channels]."""
        shape = (self.size, self.size, 1, x.shape[-1])
        kernel = self.param("kernel", initial.lecun_normal, shape)
        kernel, x = kernel.astype(self.dtype), x.astype(self.dtype)
        if initial.marking():
            # As in `BatchNorm`.
            return x[:, :: self.stride, :: self.stride]
        return depthwise_conv(x, kernel, self.stride)


class PointwiseConv(nn.Module):
    """`pointwise_conv` with a learned kernel, no bias."""

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        """[batch, height, width, channels] to [batch, height, width, features]."""
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", initial.lecun_normal, shape)
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
        shape = x.shape[-1:]
        scale = self.param("scale", initial.ones, shape)
        bias = self.param("bias", initial.zeros, shape)
        running = [
            self.variable("batch_stats", name, initial.full, shape, value)
            for name, value in (("mean", 0.0), ("var", 1.0))
        ]
        x = x.astype(self.dtype)
        if initial.marking():
            # Only the shape counts, and tracing is what a first state takes.
            return x
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
        if self.kernel == 1:
            x = x[:, :: self.stride, :: self.stride]
            x = PointwiseConv(self.features, self.dtype, name="conv")(x)
            return BatchNorm(self.dtype, self.sync, name="norm")(x, train)
        side = self.kernel // 2
        x = nn.Conv(
            self.features,
            (self.kernel, self.kernel),
            strides=self.stride,
            padding=((side, side), (side, side)),
            use_bias=False,
            dtype=self.dtype,
            **initial.LAYER,
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
        x = DepthwiseConv(3, self.dtype, self.stride, name="depthwise")(x)
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
        even = PointwiseConv(half, self.dtype, name="even")(x[:, ::2, ::2])
        odd = PointwiseConv(half, self.dtype, name="odd")(x[:, 1::2, 1::2])
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


def make_operator(
    operator: str,
    features: int,
    dtype: jnp.dtype = jnp.float32,
    sync: bool = False,
    stride: int = 1,
    name: str | None = None,
) -> nn.Module:
    """The module of an operator, called as module(x, train).

    Args:
      operator: a key of `OPERATORS`, or `module:function`, one of one's own.
      features: channels, of the input too.
      dtype: of the computation.
      sync: whether batch statistics are taken over all devices.
      stride: 1, or 2 on the edges that leave a reduction cell's inputs.
      name: of the module in its parent.
    """
    how = {"dtype": dtype, "sync": sync, "stride": stride, "name": name}
    if operator in OPERATORS:
        return OPERATORS[operator](features, **how)
    return OwnOperator(operator, features, **how)
