"""Which pairs are removed, and when: gradual pruning and the two derivations.

Section 3.5 of the paper. Host side, NumPy. Gates are given per stage: `beta` [N, L]
for edges, `alpha` [N, L, operators] for operators, all in (0, 1). Rules that hold
everywhere: the last pair of a node never goes (so neither its last edge nor that
edge's last operator), nor does a pair without which the target can't be met any more;
an edge without operators is gone, and after each removal the nodes that nobody reads
are deleted.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ifnas_jax import architecture, cost
from ifnas_jax.errors import InputError
from ifnas_jax.masks import Kept
from ifnas_jax.spaces.graph import Space


class Removal(NamedTuple):
    """One removed pair, a line of prunings.jsonl; stages count from 1.

    `reason` is "edge gate", "operator gate" (which fell below the threshold),
    "unread" (its node was deleted) or "weakest" (removed to meet a budget).
    """

    stage: int
    src: int
    dst: int
    op: str
    madds: int
    reason: str


class _Pruner:
    """Removes pairs one at a time and keeps the account."""

    def __init__(self, space: Space, macro: cost.Macro, kept: Kept, target: int):
        self.space, self.macro = space, macro
        self.kept = [stage.copy() for stage in kept]
        self.removals: list[Removal] = []
        self.madds = cost.network_cost(macro, space.operators, kept).madds
        self.target = target
        self._costs = cost.operator_costs(macro, space.operators)
        self._fixed = cost.fixed_cost(macro).madds
        # What the cheapest network costs that is left in each stage.
        self._least = [self._cheapest(s, stage) for s, stage in enumerate(self.kept)]

    def remove(self, stage: int, row: int, column: int, ops: list[int], reason: str):
        """Removes pairs of an edge, unless they are gone or must stay.

        The last ones of a node stay, and those without which no network that meets
        the target is left.
        """
        ops = [op for op in ops if self.kept[stage][row, column, op]]
        after = self.kept[stage].copy()
        after[row, column, ops] = False
        if not ops or not after[row].any():
            return
        least = list(self._least)
        least[stage] = self._cheapest(stage, after)
        # A target that is out of reach already holds nothing back.
        before, now = (self._fixed + sum(madds) for madds in (self._least, least))
        if before <= self.target < now:
            return
        self.kept[stage], self._least = after, least
        for op in ops:
            self._record(stage, row, column, op, reason)
        if not self.kept[stage][row, column].any():
            self._delete_unread(stage)

    def _cheapest(self, stage: int, kept: np.ndarray) -> int:
        """MAdds of the cheapest path from a stage's input to its last node."""
        costs, paths = [madds for madds, _ in self._costs[stage]], [0]
        for node in kept.tolist():
            inputs = [
                path + madds
                for path, ops in zip(reversed(paths), node, strict=False)
                for madds, on in zip(costs, ops, strict=True)
                if on
            ]
            paths.append(min(inputs, default=math.inf))
        return paths[-1]

    def _record(self, stage, row, column, op, reason):
        self.madds -= self._costs[stage][op].madds
        name, dst = self.space.operators[op], row + 1
        self.removals.append(
            Removal(stage + 1, dst - column - 1, dst, name, self.madds, reason)
        )

    def _delete_unread(self, stage):
        (after,) = architecture.delete_unread([self.kept[stage]])
        for row, column, op in np.argwhere(self.kept[stage] & ~after).tolist():
            self._record(stage, row, column, op, "unread")
        self.kept[stage] = after

    def result(self) -> tuple[Kept, list[Removal]]:
        return tuple(self.kept), self.removals


def below_threshold(
    space: Space,
    macro: cost.Macro,
    kept: Kept,
    beta: Sequence[np.ndarray],
    alpha: Sequence[np.ndarray],
    threshold: float,
    target: int = 0,
) -> tuple[Kept, list[Removal]]:
    """Removes edges and operators whose gate is below the threshold.

    The weakest gates go first, so that what a node must keep is its strongest, and
    removal ends where the target is met: what was searched for is the best network
    of that size, not a smaller one.

    Args:
      space: the space.
      macro: the sizes at which MAdds are counted.
      kept: what is left so far.
      beta: gates of the edges, for each stage [N, L].
      alpha: gates of the operators, for each stage [N, L, operators].
      threshold: on gates.
      target: MAdds at or under which nothing more is removed.

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
    pruner = _Pruner(space, macro, kept, target)
    everything = list(range(len(space.operators)))
    for _, *where, op in sorted(weak, key=lambda entry: entry[0]):
        if pruner.madds <= target:
            break
        if op is None:
            pruner.remove(*where, everything, "edge gate")
        else:
            pruner.remove(*where, [op], "operator gate")
    return pruner.result()


def to_target(
    space: Space,
    macro: cost.Macro,
    kept: Kept,
    strength: Sequence[np.ndarray],
    target: int,
) -> tuple[Kept, list[Removal]]:
    """Removes the weakest pairs until the MAdds are at or under the target.

    Args:
      space: the space.
      macro: the sizes at which MAdds are counted.
      kept: what is left so far.
      strength: for each stage, the strength of each pair, [N, L, operators].
      target: MAdds.

    Raises:
      InputError: the cheapest network that is left costs more than the target.
    """
    pruner = _Pruner(space, macro, kept, target)
    order = [
        (strength[index][tuple(pair)], index, *pair)
        for index, stage in enumerate(kept)
        for pair in np.argwhere(stage).tolist()
    ]
    for _, *where, op in sorted(order):
        if pruner.madds <= target:
            break
        pruner.remove(*where, [op], "weakest")
    if pruner.madds > target:
        raise InputError(
            f"target_madds is {target:,}, but with one operator left at every node "
            f"the network still has {pruner.madds:,}; raise the target."
        )
    return pruner.result()


def keep_one(
    kept: Kept, beta: Sequence[np.ndarray], alpha: Sequence[np.ndarray]
) -> Kept:
    """Each node keeps its strongest edge, by g(β)·max_o g(α), with its operators.

    This is how Table 3 of the paper derives. Unread nodes are deleted.
    """
    result = []
    for stage, edges, operators in zip(kept, beta, alpha, strict=True):
        strength = edges * np.where(stage, operators, 0.0).max(axis=2)
        strength = np.where(stage.any(axis=2), strength, -1.0)
        best = np.zeros(strength.shape, bool)
        best[np.arange(len(stage)), strength.argmax(axis=1)] = True
        result.append(stage & best[:, :, None])
    return architecture.delete_unread(result)
