"""The fixed parts of every network: stem, stage inputs, classifier, auxiliary head.

`docs/method.md` has them as a table. `cost.fixed_cost` counts the same parts without
JAX, and a test holds the two together.
"""

import flax.linen as nn
import jax.numpy as jnp

from ifnas_jax.cost import Macro
from ifnas_jax.nn.ops import BatchNorm, Conv, Sep


def max_pool(x):
    """3×3 max pool of stride 2, padded as in PyTorch."""
    return nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))


class Reduction(nn.Module):
    """[`depth` × sep, max pool] + [1×1 convolution of stride 2, batch norm]."""

    features: int
    depth: int
    dtype: jnp.dtype = jnp.float32
    sync: bool = False

    @nn.compact
    def __call__(self, x, train: bool):
        """[batch, 2h, 2w, channels] to [batch, h, w, features]."""
        path = x
        for index in range(self.depth):
            sep = Sep(self.features, self.dtype, self.sync, name=f"sep{index + 1}")
            path = sep(path, train)
        shortcut = Conv(self.features, 1, 2, self.dtype, self.sync, name="shortcut")
        return max_pool(path) + shortcut(x, train)


class Stem(nn.Module):
    """From the image to the width and resolution of the first stage."""

    macro: Macro
    dtype: jnp.dtype = jnp.float32
    sync: bool = False

    @nn.compact
    def __call__(self, images, train: bool):
        """[batch, size, size, channels] to [batch, size1, size1, C]."""
        how = {"dtype": self.dtype, "sync": self.sync}
        x = images.astype(self.dtype)
        if self.macro.stem == "small":
            return Conv(self.macro.width, 3, **how, name="conv")(x, train)
        x = Conv(32, 3, 2, **how, name="conv")(x, train)
        x = Reduction(48, depth=2, **how, name="reduction1")(x, train)
        return Reduction(self.macro.width, depth=2, **how, name="reduction2")(x, train)


class StageInput(nn.Module):
    """Node 0 of a stage, from the output of what is before it."""

    macro: Macro
    stage: int
    dtype: jnp.dtype = jnp.float32
    sync: bool = False

    @nn.compact
    def __call__(self, x, train: bool):
        """Stage 1 keeps the shape; the others halve the size and double the width."""
        width = self.macro.stage_widths[self.stage]
        if self.stage == 0:
            return x + Sep(width, self.dtype, self.sync, name="sep")(x, train)
        reduction = Reduction(width, 1, self.dtype, self.sync, name="reduction")
        return reduction(x, train)


class Classifier(nn.Module):
    """sep 4C→16C, batch norm, ReLU, global average pool, fully connected."""

    macro: Macro
    dtype: jnp.dtype = jnp.float32
    sync: bool = False

    @nn.compact
    def __call__(self, x, train: bool):
        """[batch, size3, size3, 4C] to float32 logits [batch, classes]."""
        features = 4 * self.macro.stage_widths[2]
        x = Sep(features, self.dtype, self.sync, name="sep")(x, train)
        x = nn.relu(BatchNorm(self.dtype, self.sync, name="norm")(x, train))
        # The mean and the logits in float32: half precision is felt there.
        x = x.astype(jnp.float32).mean(axis=(1, 2))
        return nn.Dense(self.macro.num_classes, name="dense")(x)


class Auxiliary(nn.Module):
    """The auxiliary classifier on stage 2's output (training only).

    It is built for 14×14 and takes 13 to 16 pixels; `validation` says so in time.
    """

    macro: Macro
    dtype: jnp.dtype = jnp.float32
    sync: bool = False

    @nn.compact
    def __call__(self, x, train: bool):
        """[batch, size2, size2, 2C] to float32 logits [batch, classes]."""
        x = max_pool(x)
        x = nn.relu(nn.Conv(4 * self.macro.width, (1, 1), dtype=self.dtype)(x))
        x = nn.avg_pool(x, (5, 5), strides=(2, 2), padding="VALID")
        x = Conv(128, 1, 1, self.dtype, self.sync, name="conv2")(x, train)
        x = nn.relu(x)
        x = nn.Conv(768, (2, 2), padding="VALID", dtype=self.dtype, name="conv3")(x)
        x = nn.relu(x).astype(jnp.float32).reshape(x.shape[0], -1)
        return nn.Dense(self.macro.num_classes, name="dense")(x)
