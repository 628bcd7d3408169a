"""FairDARTS: operators that don't compete, pushed towards 0 or 1.

Chu et al., Fair DARTS: Eliminating Unfair Advantages in Differentiable Architecture
Search. Sigmoid gates in place of DARTS' softmax, and the zero-one loss
-w · mean (g - 0.5)². First order, bi-level.
"""

import jax
import numpy as np
from ml_collections import ConfigDict

from ifnas_jax.architecture.cost import Macro
from ifnas_jax.architecture.masks import Kept, Masks
from ifnas_jax.methods import relaxation
from ifnas_jax.methods.interface import Arch, Gates, Method
from ifnas_jax.spaces.graph import Space

ZERO_ONE_WEIGHT = 10.0  # as in the paper


def fairdarts(config: ConfigDict, space: Space, macro: Macro) -> Method:
    """The method; `config.bilevel` has its constants."""
    del macro

    def penalty(arch: Arch, masks: Masks, mu: jax.Array) -> jax.Array:
        """The zero-one loss over all surviving gates; its weight is constant."""
        del mu
        total, count = 0.0, 0
        for alpha, stage in zip(arch["alpha"], masks, strict=True):
            total += ((jax.nn.sigmoid(alpha) - 0.5) ** 2 * stage.active).sum()
            count += stage.active.sum()
        return -ZERO_ONE_WEIGHT * total / count

    return Method(
        **relaxation.one_logit_an_operator(config, space),
        weights=relaxation.sigmoid_weights(config, space),
        gates=sigmoid_gates,
        penalty=penalty,
        order=1,
    )


def sigmoid_gates(arch: Arch, kept: Kept) -> Gates:
    """g(α) of each operator; an edge's is its strongest operator's."""
    alpha = tuple(
        np.where(on, relaxation.sigmoid(logits), 0.0)
        for logits, on in zip(arch["alpha"], kept, strict=True)
    )
    return Gates(tuple(stage.max(axis=2) for stage in alpha), alpha, alpha)
