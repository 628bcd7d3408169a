"""The derived network: what a search found, as a Flax module."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ifnas_jax.architecture import Architecture
from ifnas_jax.nn import macro as parts
from ifnas_jax.nn.ops import OPERATORS


class Network(nn.Module):
    """A network to be trained from scratch; batch norm keeps running statistics.

    A node is the plain sum of its kept operators' outputs, without gates.

    Attributes:
      architecture: what to build.
      auxiliary: whether it has the auxiliary head, which only training has.
      dtype: of the computation; parameters, statistics and logits are float32.
      sync_bn: batch statistics over all devices instead of each device's own.
    """

    architecture: Architecture
    auxiliary: bool = False
    dtype: Any = jnp.float32
    sync_bn: bool = False

    @nn.compact
    def __call__(
        self, images: jax.Array, train: bool = False
    ) -> tuple[jax.Array, jax.Array | None]:
        """Logits of a batch.

        Args:
          images: [batch, size, size, channels].
          train: use and update batch statistics, and compute the auxiliary head.

        Returns:
          float32 logits [batch, classes], and those of the auxiliary head, which are
          None without `train` or without such a head.
        """
        macro = self.architecture.macro
        how = {"dtype": self.dtype, "sync": self.sync_bn}
        x = parts.Stem(macro, **how, name="stem")(images, train)
        auxiliary = None
        for index in range(len(self.architecture.stages)):
            name = f"input{index + 1}"
            x = parts.StageInput(macro, index, **how, name=name)(x, train)
            x = self._stage(index, x, train)
            if index == 1 and self.auxiliary and train:
                auxiliary = parts.Auxiliary(macro, **how, name="auxiliary")(x, train)
        logits = parts.Classifier(macro, **how, name="classifier")(x, train)
        return logits, auxiliary

    def _stage(self, index: int, x: jax.Array, train: bool) -> jax.Array:
        stage = self.architecture.stages[index]
        width = self.architecture.macro.stage_widths[index]
        outputs = {0: x}
        for node in stage.nodes():
            inputs = []
            for edge in stage.inputs(node):
                for op in edge.ops:
                    name = f"stage{index + 1}_{edge.src}_{node}_{op}"
                    operator = OPERATORS[op](width, self.dtype, self.sync_bn, name=name)
                    inputs.append(operator(outputs[edge.src], train))
            outputs[node] = sum(inputs)
        return outputs[stage.num_nodes]
