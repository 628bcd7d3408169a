"""Random search with weight sharing: the best of many, by the super-network's weights.

Li and Talwalkar, Random Search and Reproducibility for Neural Architecture Search. Each
sampling step trains one architecture drawn at random inside the super-network; in the
end `random.candidates` architectures are drawn, and the one that is most accurate on
the validation part with the shared weights is kept.
"""

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ifnas_jax.architecture import masks as mask_lib
from ifnas_jax.architecture.cost import Macro
from ifnas_jax.architecture.masks import Kept, Masks
from ifnas_jax.methods import relaxation, sampling
from ifnas_jax.methods.interface import Arch, Gates, Method
from ifnas_jax.methods.random import random
from ifnas_jax.spaces.graph import Space

# Streams of draws: of architectures to train, and to choose among.
_TRAINED, _CANDIDATES = 1, 2


def randomws(config: ConfigDict, space: Space, macro: Macro) -> Method:
    """The method; it has no architecture parameters, and all of an edge weigh alike."""
    steps = sampling.loop_masks(config, space)
    draw = random(config, space, macro).draw

    def masks(kept: Kept, loop: int) -> Masks:
        del kept
        drawn = [draw(_TRAINED, loop * steps + step) for step in range(steps)]
        return mask_lib.stack([mask_lib.whole(own, learned=False) for own in drawn])

    def weights(arch: Arch, masks: Masks):
        del arch
        logs = [jnp.zeros(stage.active.shape) for stage in masks]
        return relaxation.weights(logs, masks, space, config.relaxation.node_scale)

    def gates(arch: Arch, kept: Kept) -> Gates:
        del arch
        ones = tuple(stage.astype(np.float64) for stage in kept)
        return Gates(tuple(stage.max(axis=2) for stage in ones), ones, ones)

    return Method(
        masks=masks,
        init=lambda rng: {},
        weights=weights,
        gates=gates,
        moves=lambda masks, step, schedule: {},
        draw=lambda index: draw(_CANDIDATES, index),
    )
