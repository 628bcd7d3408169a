"""The derived network: what a search found, as a Flax module."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ifnas_jax.architecture import Architecture
from ifnas_jax.nn import macro as parts
from ifnas_jax.nn.ops import make_operator


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
        space, macro = self.architecture.space, self.architecture.macro
        how = {"dtype": self.dtype, "sync": self.sync_bn}
        fixed = parts.fixed_parts(space, macro, **how)
        made = fixed.stem(images, train)
        levels = [position.level for position in space.positions(macro.cells)]
        # Where the auxiliary head reads: a chain's stage 2, or the second reduction.
        branch = levels.index(2) if space.has_cells else 1
        auxiliary = None
        for index, inputs in enumerate(fixed.inputs):
            made = [*made, self._stage(index, inputs(*made, train), train)]
            made = made[-space.stages[0].num_inputs :]
            if index == branch and self.auxiliary and train:
                head = parts.Auxiliary(macro, **how, name="auxiliary")
                auxiliary = head(made[-1], train)
        return fixed.classifier(made[-1], train), auxiliary

    def _stage(self, index: int, inputs: jax.Array, train: bool) -> jax.Array:
        """The output of position `index`, from its inputs [inputs, batch, ...]."""
        macro = self.architecture.macro
        position = self.architecture.space.positions(macro.cells)[index]
        stage = self.architecture.stages[position.stage]
        width = macro.widths[position.level]
        outputs = dict(zip(range(stage.graph.first, 1), inputs, strict=True))
        for node in stage.nodes():
            terms = []
            for edge in stage.inputs(node):
                stride = stage.graph.stride if edge.src <= 0 else 1
                for op in edge.ops:
                    operator = make_operator(
                        op,
                        width,
                        self.dtype,
                        self.sync_bn,
                        stride,
                        name=f"stage{index + 1}_{edge.src}_{node}_{op}",
                    )
                    terms.append(operator(outputs[edge.src], train))
            outputs[node] = sum(terms)
        last = [outputs[node] for node in stage.graph.outputs()]
        return jnp.concatenate(last, axis=-1) if stage.graph.joined else last[0]
