"""GOLD-NAS: one-level search whose penalty grows until enough is pruned.

Bi et al., GOLD-NAS: Gradual, One-Level, Differentiable. Every operator has a sigmoid
gate; λ times the concave penalty Σ ln(1 + n·w/Σw) over the operators into a node makes
them uneven, and each pruning removes those with a small share of their node's sum.
"""

import jax
import numpy as np
from ml_collections import ConfigDict

from ifnas_jax.architecture.cost import Macro
from ifnas_jax.architecture.masks import Kept, Masks
from ifnas_jax.methods import derivations, pruning, relaxation
from ifnas_jax.methods.interface import Arch, Event, Gates, Method
from ifnas_jax.methods.regularizer import Strength, log_share
from ifnas_jax.methods.schedule import SearchSchedule
from ifnas_jax.spaces.graph import Space


def goldnas(config: ConfigDict, space: Space, macro: Macro) -> Method:
    """The method; `config.goldnas` has its constants.

    A derivation that keeps a number of inputs has no budget: pruning then goes on until
    no node has more than those.
    """
    fields = config.goldnas
    floor = derivations.INPUTS.get(config.derive)

    def prune(kept: Kept, gates: Gates):
        return pruning.small_shares(
            space,
            macro,
            kept,
            gates.strength,
            target=0 if floor else config.target_madds,
            share=fields.share,
            weakest=fields.weakest,
            weak_share=fields.weak_share,
            inputs=floor or 1,
        )

    def mu(schedule: SearchSchedule, strength: Strength, step: int) -> np.ndarray:
        strength_now = strength.mu if step >= schedule.prune else 0.0
        return np.array([strength_now, 0.0], np.float32)

    def next_strength(schedule: SearchSchedule, strength: Strength, event: Event):
        del schedule
        return strength.adapt(event.removed, fields.weakest, fields.delta)

    return Method(
        **relaxation.one_logit_an_operator(config, space),
        weights=relaxation.sigmoid_weights(config, space),
        gates=shares,
        penalty=penalty,
        strength=Strength(0.0, fields.delta),
        mu=mu,
        next_strength=next_strength,
        prune=prune,
    )


def penalty(arch: Arch, masks: Masks, mu: jax.Array) -> jax.Array:
    """λ Σ ln(1 + n·w/Σw), n the number of surviving operators into the node."""
    total = 0.0
    for alpha, stage in zip(arch["alpha"], masks, strict=True):
        nodes = len(stage.active)
        gates = jax.nn.sigmoid(alpha).reshape(nodes, -1)
        total += log_share(gates, stage.active.reshape(nodes, -1)).sum()
    return mu[0] * total


def shares(arch: Arch, kept: Kept) -> Gates:
    """Each operator's share of its node's sum; an edge has those of its operators."""
    alpha = []
    for logits, on in zip(arch["alpha"], kept, strict=True):
        gates = np.where(on, relaxation.sigmoid(logits), 0.0)
        alpha.append(gates / np.maximum(gates.sum(axis=(1, 2), keepdims=True), 1e-300))
    beta = tuple(stage.sum(axis=2) for stage in alpha)
    return Gates(beta, tuple(alpha), tuple(alpha))
