"""DNAS, the ablation "w/o IF": IF-NAS without the sampling (Table 4)."""

from ml_collections import ConfigDict

from ifnas_jax.architecture.cost import Macro
from ifnas_jax.methods import sampling
from ifnas_jax.methods.ifnas import ifnas
from ifnas_jax.methods.interface import Method
from ifnas_jax.spaces.graph import Space


def dnas(config: ConfigDict, space: Space, macro: Macro) -> Method:
    """`ifnas` with every mask the whole super-network's, and all gates moving."""
    return ifnas(config, space, macro)._replace(masks=sampling.unsampled(config, space))
