"""The fixed parts of every network: stem, stage inputs, classifier, auxiliary head.

`docs/method.md` has them as a table. `cost.fixed_cost` counts the same parts without
JAX, and a test holds the two together.
"""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from ifnas_jax.architecture.cost import Macro
from ifnas_jax.nn import initial
from ifnas_jax.nn.ops import BatchNorm, Conv, FactorizedReduce, Sep
from ifnas_jax.nn.primitives import max_pool_3x3
from ifnas_jax.spaces.graph import Space


class FixedParts(NamedTuple):
    """What surrounds the searched stages, as Linen modules.

    Attributes:
      stem: (images, train) -> what the first position is given, a tuple of as many
        arrays as a stage has inputs.
      inputs: a position: (the same arrays of the outputs before it, train) -> its input
        nodes, the farthest first, [inputs, batch, height, width, channels].
      classifier: (the last output, train) -> logits.
    """

    stem: nn.Module
    inputs: list[nn.Module]
    classifier: nn.Module


def fixed_parts(space: Space, macro: Macro, **how) -> FixedParts:
    """The modules of a network; `how` has their `dtype` and `sync`."""
    positions = space.positions(macro.cells)
    names = [f"input{index + 1}" for index in range(len(positions))]
    if space.has_cells:
        inputs = [
            CellInput(macro.widths[position.level], **how, name=name)
            for position, name in zip(positions, names, strict=True)
        ]
        # A reduction is at the level of its output, as are its nodes; its input nodes
        # have the size of the cell before it.
        stem = CellStem(macro, **how, name="stem")
        return FixedParts(stem, inputs, CellClassifier(macro, name="classifier"))
    inputs = [
        StageInput(macro, index, **how, name=name) for index, name in enumerate(names)
    ]
    classifier = Classifier(macro, **how, name="classifier")
    return FixedParts(Stem(macro, **how, name="stem"), inputs, classifier)


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
        return max_pool_3x3(path) + shortcut(x, train)


class Stem(nn.Module):
    """From the image to the width and resolution of a chain's first stage."""

    macro: Macro
    dtype: jnp.dtype = jnp.float32
    sync: bool = False

    @nn.compact
    def __call__(self, images, train: bool):
        """[batch, size, size, channels] to one array [batch, size1, size1, C]."""
        how = {"dtype": self.dtype, "sync": self.sync}
        x = images.astype(self.dtype)
        if self.macro.stem == "small":
            return (Conv(self.macro.width, 3, **how, name="conv")(x, train),)
        x = Conv(32, 3, 2, **how, name="conv")(x, train)
        x = Reduction(48, depth=2, **how, name="reduction1")(x, train)
        last = Reduction(self.macro.width, depth=2, **how, name="reduction2")
        return (last(x, train),)


class StageInput(nn.Module):
    """Node 0 of a chain's stage, from the output of what is before it."""

    macro: Macro
    stage: int
    dtype: jnp.dtype = jnp.float32
    sync: bool = False

    @nn.compact
    def __call__(self, x, train: bool):
        """Stage 1 keeps the shape; the others halve the size and double the width."""
        width = self.macro.widths[self.stage]
        if self.stage == 0:
            x += Sep(width, self.dtype, self.sync, name="sep")(x, train)
            return x[None]
        reduction = Reduction(width, 1, self.dtype, self.sync, name="reduction")
        return reduction(x, train)[None]


class Classifier(nn.Module):
    """sep 4C→16C, batch norm, ReLU, global average pool, fully connected."""

    macro: Macro
    dtype: jnp.dtype = jnp.float32
    sync: bool = False

    @nn.compact
    def __call__(self, x, train: bool):
        """[batch, size3, size3, 4C] to float32 logits [batch, classes]."""
        features = 4 * self.macro.widths[2]
        x = Sep(features, self.dtype, self.sync, name="sep")(x, train)
        x = nn.relu(BatchNorm(self.dtype, self.sync, name="norm")(x, train))
        # The mean and the logits in float32: half precision is felt there.
        x = x.astype(jnp.float32).mean(axis=(1, 2))
        return nn.Dense(self.macro.num_classes, **initial.LAYER, name="dense")(x)


class CellStem(nn.Module):
    """From the image to what the first cell is given."""

    macro: Macro
    dtype: jnp.dtype = jnp.float32
    sync: bool = False

    @nn.compact
    def __call__(self, images, train: bool):
        """Two arrays [batch, size, size, channels], the outputs before the cells."""
        how = {"dtype": self.dtype, "sync": self.sync}
        x, width = images.astype(self.dtype), self.macro.width
        if self.macro.stem == "small":
            x = Conv(3 * width, 3, **how, name="conv")(x, train)
            return x, x
        x = Conv(width // 2, 3, 2, **how, name="conv1")(x, train)
        first = Conv(width, 3, 2, **how, name="conv2")(nn.relu(x), train)
        return first, Conv(width, 3, 2, **how, name="conv3")(nn.relu(first), train)


class CellInput(nn.Module):
    """Nodes -1 and 0 of a cell, from the outputs of the two cells before it."""

    features: int
    dtype: jnp.dtype = jnp.float32
    sync: bool = False

    @nn.compact
    def __call__(self, before_last, last, train: bool):
        """[2, batch, h, w, features], of the size of `last`."""
        how = {"dtype": self.dtype, "sync": self.sync}
        nodes = []
        for name, x in (("before_last", before_last), ("last", last)):
            if x.shape[1] == last.shape[1]:
                x = Conv(self.features, 1, **how, name=name)(nn.relu(x), train)
            else:
                x = FactorizedReduce(self.features, **how, name=name)(x, train)
            nodes.append(x)
        return jnp.stack(nodes)


class CellClassifier(nn.Module):
    """Global average pool, fully connected."""

    macro: Macro

    @nn.compact
    def __call__(self, x, train: bool):
        """[batch, size3, size3, channels] to float32 logits [batch, classes]."""
        del train
        x = x.astype(jnp.float32).mean(axis=(1, 2))
        return nn.Dense(self.macro.num_classes, **initial.LAYER, name="dense")(x)


class Auxiliary(nn.Module):
    """The auxiliary classifier (training only).

    In a chain it reads stage 2's output, which it halves first; in a network of cells
    the second reduction cell's. It is built for 7×7 after that and takes 7 to 8 pixels;
    `validation` says so in time.
    """

    macro: Macro
    dtype: jnp.dtype = jnp.float32
    sync: bool = False

    @nn.compact
    def __call__(self, x, train: bool):
        """[batch, size, size, channels] to float32 logits [batch, classes]."""
        if not self.macro.cells:
            x = max_pool_3x3(x)
            width = 4 * self.macro.width
            x = nn.Conv(width, (1, 1), dtype=self.dtype, **initial.LAYER)(x)
        x = nn.avg_pool(nn.relu(x), (5, 5), strides=(2, 2), padding="VALID")
        x = Conv(128, 1, 1, self.dtype, self.sync, name="conv2")(x, train)
        x = nn.relu(x)
        how = {"dtype": self.dtype, **initial.LAYER, "name": "conv3"}
        x = nn.Conv(768, (2, 2), padding="VALID", **how)(x)
        x = nn.relu(x).astype(jnp.float32).reshape(x.shape[0], -1)
        return nn.Dense(self.macro.num_classes, **initial.LAYER, name="dense")(x)
