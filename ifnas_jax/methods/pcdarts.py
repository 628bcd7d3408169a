"""PC-DARTS: operators see 1/K of the channels; edges compete too.

Xu et al., PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture
Search. On every edge 1/K of the channels go through the operators, the others pass
them by, and then the channels are shuffled; the inputs of a node are weighted by a
softmax over their β, the operators of an edge by one over their α. First order,
bi-level.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from ifnas_jax.architecture.cost import Macro
from ifnas_jax.architecture.masks import Kept, Masks
from ifnas_jax.methods import relaxation, sampling
from ifnas_jax.methods.interface import Arch, Gates, Method
from ifnas_jax.methods.schedule import SearchSchedule
from ifnas_jax.spaces.graph import Space


def pcdarts(config: ConfigDict, space: Space, macro: Macro) -> Method:
    """The method; `config.pcdarts` and `config.bilevel` have its constants."""
    del macro
    parts = config.pcdarts.parts
    # A node's operators weigh as much as there are kinds of them (`node_scale` "unit"),
    # and each of them passes the same channels by: they shall weigh 1.
    partial = functools.partial(
        PartialChannels, parts=parts, share=1 / len(space.operators)
    )

    def weights(arch: Arch, masks: Masks):
        logs = [
            relaxation.softmax_logs(beta, stage.active.any(axis=-1))[:, :, None]
            + relaxation.softmax_logs(alpha, stage.active)
            for beta, alpha, stage in zip(
                arch["beta"], arch["alpha"], masks, strict=True
            )
        ]
        return relaxation.weights(logs, masks, space, config.relaxation.node_scale)

    return Method(
        masks=sampling.unsampled(config, space),
        init=functools.partial(
            relaxation.init, space=space, scale=config.relaxation.init_scale
        ),
        weights=weights,
        gates=softmax_gates,
        moves=moves,
        order=1,
        wrap=partial if parts > 1 else None,
        width=lambda width: width // parts,
    )


class PartialChannels(nn.Module):
    """An operator on the first 1/K of the channels; the others pass by; a shuffle.

    An edge's operators, summed with their weights, are PC-DARTS' edge: the channels
    that pass by come once from each of them, times `share`.

    Attributes:
      operator: of width C/K.
      stride: of the operator; 2 halves what passes by with a max pool.
      parts: K.
      share: what multiplies the channels that pass by.
    """

    operator: nn.Module
    stride: int
    parts: int
    share: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """[batch, height, width, C] to [batch, height/stride, width/stride, C]."""
        width = x.shape[-1] // self.parts
        y, rest = self.operator(x[..., :width], train), x[..., width:]
        if self.stride > 1:
            rest = nn.max_pool(rest, (2, 2), strides=(2, 2))
        y = jnp.concatenate([y, self.share * rest], axis=-1)
        # Channel c of part k becomes channel c·K + k.
        y = y.reshape(*y.shape[:-1], self.parts, width)
        return jnp.swapaxes(y, -1, -2).reshape(*y.shape[:-2], -1)


def softmax_gates(arch: Arch, kept: Kept) -> Gates:
    """softmax(β) over a node's inputs, softmax(α) over an edge's operators."""
    beta = tuple(
        relaxation.softmax(logits, on.any(axis=2))
        for logits, on in zip(arch["beta"], kept, strict=True)
    )
    alpha = tuple(
        relaxation.softmax(logits, on)
        for logits, on in zip(arch["alpha"], kept, strict=True)
    )
    strength = tuple(b[:, :, None] * a for b, a in zip(beta, alpha, strict=True))
    return Gates(beta, alpha, strength)


def moves(now: Masks, step, schedule: SearchSchedule) -> dict[str, tuple]:
    """All logits, once the phase of the weights is over."""
    on = step >= schedule.beta
    edges = tuple(s.active.any(axis=-1) & s.learned[:, None] & on for s in now)
    return {"beta": edges, **relaxation.moves_after_weights(now, step, schedule)}
