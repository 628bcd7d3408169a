"""Which pairs go while a search runs, and in which order: gradual pruning.

Section 3.5 of the paper, and GOLD-NAS' rule. Host side, NumPy. Gates are given per
stage: `beta` [N, L] for edges, `alpha` [N, L, operators] for operators, all in (0, 1).
What may go at all, `removal.py` says.
"""

import math
from collections.abc import Sequence

import numpy as np

from ifnas_jax.architecture import cost
from ifnas_jax.architecture.masks import Kept
from ifnas_jax.methods.removal import Pruner, Removal
from ifnas_jax.spaces.graph import Space


def below_threshold(
    space: Space,
    macro: cost.Macro,
    kept: Kept,
    beta: Sequence[np.ndarray],
    alpha: Sequence[np.ndarray],
    threshold: float,
    target: int = 0,
    share: float = 1.0,
) -> tuple[Kept, list[Removal]]:
    """Removes edges and operators whose gate is below the threshold.

    The weakest gates go first, so that what a node must keep is its strongest, and
    removal ends where the target is met: what was searched for is the best network
    of that size, not a smaller one. What would be too much at once waits for the next
    time, until when the weights adapt. A node's backbone goes after its other closed
    edges, where those may go (`_in_turn`).

    Args:
      space: the space.
      macro: the sizes at which MAdds are counted.
      kept: what is left so far.
      beta: gates of the edges, for each stage [N, L].
      alpha: gates of the operators, for each stage [N, L, operators].
      threshold: on gates.
      target: MAdds at or under which nothing more is removed.
      share: of the edges that are left, which may go at once. Where nothing could go
        then, since nodes would become unread with any, the first goes nevertheless.

    Returns:
      What is left, and the removals in order.
    """
    weak = []  # (gate, stage, row, column, operator; None for the whole edge)
    for index, stage in enumerate(kept):
        for row, column in np.argwhere(stage.any(axis=2)).tolist():
            weak.append((beta[index][row, column], index, row, column, None))
        for row, column, op in np.argwhere(stage).tolist():
            weak.append((alpha[index][row, column, op], index, row, column, op))
    weak = [entry for entry in weak if entry[0] < threshold]
    weak = _in_turn(kept, beta, alpha, threshold, weak)
    edges = sum(int(stage.any(axis=2).sum()) for stage in kept)
    pruner = Pruner(space, macro, kept, target, most=max(1, math.floor(share * edges)))
    _remove_weak(pruner, weak, len(weak))
    if not pruner.removals:
        pruner = Pruner(space, macro, kept, target)
        _remove_weak(pruner, weak, 1)
    return pruner.result()


def _in_turn(
    kept: Kept,
    beta: Sequence[np.ndarray],
    alpha: Sequence[np.ndarray],
    threshold: float,
    weak: Sequence[tuple],
) -> list[tuple]:
    """The weakest first, but a node's nearest edge after its other closed edges.

    Outside the node's group its nearest edge is all that it reads, with full weight.
    Were it to go before a closed edge, that one would take its place, which the node
    no longer listens to. Only the strongest, which a node must keep, comes after it.
    In a cell it is the same.
    """
    # An edge goes by its own gate, or with the last of its operators.
    goes = [
        np.minimum(own, np.where(stage, ops, -1.0).max(axis=2))
        for stage, own, ops in zip(kept, beta, alpha, strict=True)
    ]

    def turn(entry: tuple) -> tuple[float, int, float]:
        gate, index, row, column, _ = entry
        edges = goes[index][row]
        nearest, strongest = (edges >= 0).argmax(), edges.argmax()
        if column == strongest:
            return gate, 2, gate
        if column != nearest or edges[nearest] >= threshold:
            return gate, 0, gate
        others = np.delete(edges, [nearest, strongest])
        return max(gate, others.max(where=others < threshold, initial=0.0)), 1, gate

    return sorted(weak, key=turn)


def _remove_weak(pruner: Pruner, weak: Sequence[tuple], times: int) -> None:
    """Removes entries (gate, stage, row, column, operator), so many times at most."""
    everything = list(range(len(pruner.space.operators)))
    for gate, *where, op in weak:
        if pruner.madds <= pruner.target or not times:
            return
        before = len(pruner.removals)
        if op is None:
            pruner.remove(where, everything, "edge gate", gate)
        else:
            pruner.remove(where, [op], "operator gate", gate)
        times -= len(pruner.removals) > before


def small_shares(
    space: Space,
    macro: cost.Macro,
    kept: Kept,
    strength: Sequence[np.ndarray],
    *,
    target: int,
    share: float,
    weakest: int,
    weak_share: float,
    inputs: int = 1,
) -> tuple[Kept, list[Removal]]:
    """GOLD-NAS' pruning: operators with a small share of their node's sum.

    All under `share`, and the `weakest` weakest of the whole network if they are under
    `weak_share`. As everywhere, the weakest go first and removal ends at the target.

    Args:
      space: the space.
      macro: the sizes at which MAdds are counted.
      kept: what is left so far.
      strength: each pair's share of its node's sum, for each stage [N, L, operators].
      target: MAdds at or under which nothing more is removed.
      share: under it a pair is removed.
      weakest: how many more may be.
      weak_share: under it those may be.
      inputs: edges that every node keeps.

    Returns:
      What is left, and the removals in order.
    """
    pruner = Pruner(space, macro, kept, target, inputs)
    for value, *where, op in ascending(kept, strength):
        removed = sum(r.reason == "weakest" for r in pruner.removals)
        if pruner.madds <= target or value >= max(share, weak_share):
            break
        if value < share:
            pruner.remove(where, [op], "operator gate", value)
        elif removed < weakest:
            pruner.remove(where, [op], "weakest", value)
    return pruner.result()


def ascending(kept: Kept, strength: Sequence[np.ndarray]) -> list[tuple]:
    """(strength, stage, row, column, operator) of all pairs, the weakest first."""
    return sorted(
        (strength[index][tuple(pair)], index, *pair)
        for index, stage in enumerate(kept)
        for pair in np.argwhere(stage).tolist()
    )
