"""Architectures drawn at random, as random search and its weight sharing draw them.

NumPy only. Each draw is uniform over what a node may choose, node by node.
"""

import numpy as np

from ifnas_jax.architecture import cost, delete_unread
from ifnas_jax.architecture.masks import Kept
from ifnas_jax.errors import InputError, UnmetError
from ifnas_jax.methods import derivations
from ifnas_jax.spaces.graph import Space

# Attempts after which a draw to a budget is given up.
ATTEMPTS = 10_000
# A run of many draws may begin if so many of so many attempts succeed. With a chance of
# 1 in 500 an attempt, 5 % of the targets are let through, and of their draws 2 in 10^9
# fail; with 1 in 100, 3 % are refused.
_ENOUGH, _TRIED = 5, 1000


def inputs(
    space: Space, rng: np.random.Generator, count: int, one_operator: bool
) -> Kept:
    """Each node's `count` inputs, uniformly; nodes that nobody reads are deleted.

    Args:
      space: the space.
      rng: draws.
      count: of edges that a node keeps; all of them if it has fewer.
      one_operator: whether an edge keeps one operator, uniformly, or all.
    """
    drawn = []
    for stage in space.stages:
        array = np.zeros((*stage.valid().shape, len(space.operators)), bool)
        for node in range(1, stage.num_nodes + 1):
            edges = len(stage.precursors(node))
            for column in rng.permutation(edges)[:count]:
                if one_operator:
                    array[node - 1, column, rng.integers(len(space.operators))] = True
                else:
                    array[node - 1, column] = True
        drawn.append(array)
    return delete_unread(space.stages, drawn)


def subsets(space: Space, rng: np.random.Generator) -> Kept:
    """A non-empty subset of each node's (edge, operator) pairs, uniformly.

    Nodes that nobody reads still have theirs.
    """
    drawn = []
    for full in space.full():
        array = np.zeros_like(full)
        for row, on in zip(array, full, strict=True):
            while not row.any():
                row[on] = rng.random(int(on.sum())) < 0.5
        drawn.append(array)
    return tuple(drawn)


def to_target(
    space: Space, macro: cost.Macro, target: int, band: float, rng: np.random.Generator
) -> Kept:
    """`subsets`, less random pairs until the target is met; again if it falls short.

    Args:
      space: the space.
      macro: the sizes at which MAdds are counted.
      target: MAdds, met from above: pairs are dropped until they are at or under it.
      band: share of the target under which a result is dropped and drawn again.
      rng: draws.

    Raises:
      InputError: no draw came to lie between the two.
    """
    nearest = 0
    for _ in range(ATTEMPTS):
        kept, madds = _attempt(space, macro, target, rng)
        if band * target <= madds <= target:
            return kept
        if madds <= target:
            nearest = max(nearest, madds)
    raise UnmetError(
        f"random.band is {band}, but none of {ATTEMPTS:,} drawn architectures has from "
        f"{band * target:,.0f} to {target:,} MAdds (the nearest had {nearest:,}); "
        "lower random.band, or change target_madds."
    )


def _attempt(
    space: Space, macro: cost.Macro, target: int, rng: np.random.Generator
) -> tuple[Kept, int]:
    """One of `to_target`, with its MAdds."""
    kept = delete_unread(space.stages, subsets(space, rng))
    order = tuple(rng.random(stage.shape) for stage in kept)
    return derivations.drop_weakest(space, macro, kept, order, target)


def check_target(
    space: Space, macro: cost.Macro, target: int, band: float, rng: np.random.Generator
) -> None:
    """Refuses what `to_target` seldom hits, before a run that draws thousands.

    Of so many draws one could fail after days, and again whenever the run goes on.
    Attempts are alike, so some tell about all of them, whatever the run will draw.

    Args:
      space: the space.
      macro: the sizes at which MAdds are counted.
      target: as in `to_target`.
      band: as in `to_target`.
      rng: draws.

    Raises:
      InputError: too few attempts come to lie between the two.
    """
    found = 0
    for _ in range(_TRIED):
        _, madds = _attempt(space, macro, target, rng)
        found += band * target <= madds <= target
        if found == _ENOUGH:
            return
    raise InputError(
        f"random.band is {band}, but only {found} of {_TRIED:,} drawn architectures "
        f"have from {band * target:,.0f} to {target:,} MAdds, too few for a run that "
        "draws thousands; lower random.band, or change target_madds."
    )
