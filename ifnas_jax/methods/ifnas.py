"""IF-NAS: differentiable search with interleaving-free sampling (section 3.4).

A loop has L + 1 sampling steps. Step 0, its warm-up, trains the whole super-network
with the gates frozen; step j = 1..L trains the sub-super-network of the group
j mod L: the backbone, and every connection that ends in a node of the group. In a cell
a group is one node, and a loop has one step more than a cell has nodes.
"""

import functools

import jax
import numpy as np
from ml_collections import ConfigDict

from ifnas_jax.architecture.cost import Macro
from ifnas_jax.architecture.masks import Kept, Masks
from ifnas_jax.methods import pruning, regularizer, relaxation, sampling
from ifnas_jax.methods.interface import Arch, Event, Gates, Method
from ifnas_jax.methods.regularizer import Strength
from ifnas_jax.methods.schedule import SearchSchedule
from ifnas_jax.spaces.graph import Space


def ifnas(config: ConfigDict, space: Space, macro: Macro) -> Method:
    """The method of the paper.

    Args:
      config: reads `sampling`, `relaxation`, `penalty`, `search`, `derive`, the target
        and `seed`.
      space: the space to search.
      macro: the sizes at which MAdds are counted.
    """

    def prune(kept: Kept, gates: Gates):
        return pruning.below_threshold(
            space,
            macro,
            kept,
            gates.beta,
            gates.alpha,
            config.search.threshold,
            config.target_madds,
            config.search.most_removed,
        )

    def next_strength(schedule: SearchSchedule, strength: Strength, event: Event):
        return regularizer.next_strength(config, schedule, strength, **event._asdict())

    return Method(
        masks=sampling.sampled(config, space),
        init=functools.partial(
            relaxation.init, space=space, scale=config.relaxation.init_scale
        ),
        weights=relaxation.sigmoid_weights(config, space),
        gates=sigmoid_gates,
        moves=moves,
        penalty=penalty,
        strength=Strength(0.0, config.penalty.delta),
        mu=functools.partial(regularizer.mu, config),
        next_strength=next_strength,
        # The other derivations read gates of a whole network, as in Tables 2 and 3; the
        # regulariser is theirs too, and grows to the end.
        prune=prune if config.derive == "prune" else None,
    )


def penalty(arch: Arch, masks: Masks, mu: jax.Array) -> jax.Array:
    """μ1 and μ2 times the two sums of Eq. (3), over all stages."""
    total = 0.0
    for beta, alpha, stage in zip(arch["beta"], arch["alpha"], masks, strict=True):
        edges, operators = regularizer.stage_penalty(
            jax.nn.sigmoid(beta), jax.nn.sigmoid(alpha), stage.active, stage.learned
        )
        total += mu[0] * edges + mu[1] * operators
    return total


def sigmoid_gates(arch: Arch, kept: Kept) -> Gates:
    """g(β), g(α), and their product as a pair's strength."""
    del kept
    beta = tuple(relaxation.sigmoid(stage) for stage in arch["beta"])
    alpha = tuple(relaxation.sigmoid(stage) for stage in arch["alpha"])
    strength = tuple(b[:, :, None] * a for b, a in zip(beta, alpha, strict=True))
    return Gates(beta, alpha, strength)


def moves(now: Masks, step, schedule: SearchSchedule) -> dict[str, tuple[np.ndarray]]:
    """Surviving gates of learning nodes: β from its phase on, then α."""
    beta, alpha = step >= schedule.beta, step >= schedule.alpha
    return {
        "beta": tuple(s.active.any(axis=-1) & s.learned[:, None] & beta for s in now),
        "alpha": tuple(s.active & s.learned[:, None, None] & alpha for s in now),
    }
