"""Networks that no search finds: the plain chain, and others of one distance."""

import functools

import numpy as np
from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax.architecture import Architecture, from_kept


def only(config: ConfigDict, distance: int, operators: tuple[str, ...]) -> Architecture:
    """The network whose nodes read their precursor at one distance only.

    A node that has none so far reads its farthest one.

    Args:
      config: resolved, or with its number of classes.
      distance: 1: the plain chain.
      operators: of each edge.
    """
    space, kept = config_lib.space(config), []
    chosen = [name in operators for name in space.operators]
    for stage in space.full():
        own = np.zeros_like(stage)
        for node, edges in enumerate(stage.any(axis=2)):
            own[node, min(distance - 1, np.flatnonzero(edges)[-1])] = chosen
        kept.append(own)
    return from_kept(space, kept, config_lib.macro(config))


_BOTH = ("sep_conv_3x3", "skip_connect")
# As `keep1` keeps edges: with both operators, so that each node is residual.
CHAIN = functools.partial(only, distance=1, operators=_BOTH)
FAR = {
    f"pre-{distance} only": functools.partial(only, distance=distance, operators=_BOTH)
    for distance in (2, 3, 4)
}
# The paper's chain; without identities it hardly trains in a few epochs.
BARE_CHAIN = functools.partial(only, distance=1, operators=_BOTH[:1])


def one_input_each(config: ConfigDict, count: int) -> Architecture:
    """A network of a draw that spreads depths, for rank correlations.

    Each node keeps one input with both operators. It is the direct one with a
    probability that grows over the draws from 0 to 1, else any, uniformly.

    Args:
      config: its seed is the number of the draw.
      count: of draws.
    """
    direct = config.seed / max(count - 1, 1)
    return _drawn(config, config.seed, direct)[0]


def uniform_choice(config: ConfigDict, seed: int) -> tuple[Architecture, float]:
    """A network whose nodes each choose one input uniformly, as gates without a say do.

    Returns:
      It, and the share of pre-1 among all nodes that have a choice, also of those that
      nobody reads.
    """
    return _drawn(config, seed, 0.0)


def _drawn(config: ConfigDict, seed: int, direct: float) -> tuple[Architecture, float]:
    rng = np.random.default_rng(seed)
    space, kept, near = config_lib.space(config), [], []
    chosen = [name in _BOTH for name in space.operators]
    for stage in space.full():
        own = np.zeros_like(stage)
        for node, edges in enumerate(stage.any(axis=2)):
            place = 0 if rng.random() < direct else rng.choice(np.flatnonzero(edges))
            own[node, place] = chosen
            near += [place == 0] if edges.sum() > 1 else []
        kept.append(own)
    return from_kept(space, kept, config_lib.macro(config)), float(np.mean(near))
