"""DNAS, the ablation "w/o IF": IF-NAS without the sampling (Table 4).

Every step trains the whole super-network and all of its gates. A loop has as many
steps as under sampling, so that prunings come at the same iterations.
"""

from ml_collections import ConfigDict

from ifnas_jax import masks as mask_lib
from ifnas_jax.masks import Kept, Masks
from ifnas_jax.methods.ifnas import ifnas
from ifnas_jax.methods.interface import Method
from ifnas_jax.spaces.graph import Space


def dnas(config: ConfigDict, space: Space) -> Method:
    """`ifnas` with every mask the whole super-network's."""
    modulus = config.sampling.modulus or space.num_precursors

    def masks(kept: Kept) -> Masks:
        step = mask_lib.whole(kept, learned=True)
        return mask_lib.stack([step] * (modulus + 1))

    return ifnas(config, space)._replace(masks=masks)
