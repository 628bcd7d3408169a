"""An operator that compiles soon, for tests of what is around the operators."""

import flax.linen as nn
import jax.numpy as jnp

from ifnas_jax.nn.ops import SkipConnect


class Scale(nn.Module):
    """tanh(θ · x) of each channel."""

    stride: int = 1

    @nn.compact
    def __call__(self, x, train):
        """[batch, height, width, channels] to [batch, h, w, channels]."""
        kernel = self.param("kernel", nn.initializers.normal(1.0), x.shape[-1:])
        return jnp.tanh(kernel * x[:, :: self.stride, :: self.stride])


def cheap(module: nn.Module, stride: int) -> nn.Module:
    """`Supernet.wrap`: all operators but the identity become `Scale`."""
    is_identity = isinstance(module, SkipConnect) and stride == 1
    return module if is_identity else Scale(stride)
