"""Random search: an architecture drawn at random, the baseline of Table 3.

Nothing is trained; the seed draws, by the rule of `config.derive`. keep1: each node
draws one input and keeps all of its operators. keep2: two inputs and one operator each.
target: a subset of each node's pairs, less random pairs until the MAdds target is met,
and all again below `random.band` of it.
"""

import numpy as np
from ml_collections import ConfigDict

from ifnas_jax.architecture.cost import Macro
from ifnas_jax.architecture.masks import Kept
from ifnas_jax.methods import derivations, draws
from ifnas_jax.methods.darts import darts
from ifnas_jax.methods.interface import Method
from ifnas_jax.spaces.graph import Space


def random(config: ConfigDict, space: Space, macro: Macro) -> Method:
    """The method; only its `draw` is ever called."""

    def draw(*numbers: int) -> Kept:
        rng = np.random.default_rng([config.seed, *numbers])
        if config.derive == "target":
            band, target = config.random.band, config.target_madds
            return draws.to_target(space, macro, target, band, rng)
        count = derivations.INPUTS[config.derive]
        return draws.inputs(space, rng, count, one_operator=count > 1)

    return darts(config, space, macro)._replace(draw=draw, trains=False)
