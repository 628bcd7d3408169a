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

from ifnas_jax import architecture
from ifnas_jax.architecture import cost
from ifnas_jax.architecture.masks import Kept
from ifnas_jax.spaces.graph import Space


class Removal(NamedTuple):
    """One removed pair, a line of prunings.jsonl; stages count from 1.

    `reason` is "edge gate", "operator gate" (which fell below the threshold),
    "unread" (its node was deleted) or "weakest" (removed to meet a budget). `gate` is
    what it was judged by, to four digits: g(β) of an "edge gate", g(α) of an "operator
    gate", else its strength; None of what was unread, which nothing judged.
    """

    stage: int
    src: int
    dst: int
    op: str
    madds: int
    reason: str
    gate: float | None = None


class Pruner:
    """Removes pairs one at a time and keeps the account."""

    def __init__(
        self,
        space: Space,
        macro: cost.Macro,
        kept: Kept,
        target: int,
        inputs: int = 1,
        most: float = math.inf,
    ):
        """An account that is open.

        Args:
          space: the space.
          macro: the sizes at which MAdds are counted.
          kept: what is left so far.
          target: MAdds that have to stay within reach.
          inputs: edges that every node keeps, or those that it has if they are fewer.
          most: edges that may be removed, with those that become unread.
        """
        self.space, self.macro = space, macro
        self.kept = [stage.copy() for stage in kept]
        self.removals: list[Removal] = []
        self.madds = cost.network_cost(space, macro, kept).madds
        self.target, self._inputs = target, inputs
        self._least_edges = self._edges(self.kept) - most
        # What each pair costs, as lists, which are read one by one.
        self._costs = [c.madds.tolist() for c in cost.pair_costs(space, macro)]
        self._fixed = cost.fixed_cost(space, macro).madds
        # What the cheapest network costs that is left in each stage.
        self._least = [self._cheapest(s, stage) for s, stage in enumerate(self.kept)]

    def remove(
        self,
        where: Sequence[int],
        ops: list[int],
        reason: str,
        gate: float,
    ):
        """Removes pairs of an edge, unless they are gone or must stay.

        The last ones of a node stay, and those without which no network that meets
        the target is left, or with which more edges would go than may.

        Args:
          where: the edge: stage, row and column.
          ops: operators.
          reason: of `Removal`.
          gate: of `Removal`.
        """
        stage, row, column = where
        ops = [op for op in ops if self.kept[stage][row, column, op]]
        after = self.kept[stage].copy()
        after[row, column, ops] = False
        edges, left = (x[row].any(axis=1).sum() for x in (self.kept[stage], after))
        if not ops or left < min(edges, self._inputs):
            return
        least = list(self._least)
        least[stage] = self._cheapest(stage, after)
        # A target that is out of reach already holds nothing back.
        before, now = self.least(), self._fixed + sum(least)
        if before <= self.target < now:
            return
        if self._edges_without(stage, after) < self._least_edges:
            return
        self.kept[stage], self._least = after, least
        for op in ops:
            self._record(where, op, reason, float(f"{gate:.4g}"))
        if not self.kept[stage][row, column].any():
            self._delete_unread(stage)

    def _edges(self, kept: Sequence[np.ndarray]) -> int:
        return sum(int(stage.any(axis=2).sum()) for stage in kept)

    def _edges_without(self, stage: int, after: np.ndarray) -> int:
        """Edges that are left if a stage becomes `after`, and what is unread goes."""
        left = architecture.delete_unread([self.space.stages[stage]], [after])
        return self._edges(self.kept[:stage] + self.kept[stage + 1 :]) + self._edges(
            left
        )

    def least(self) -> int:
        """MAdds of the cheapest network that is left."""
        return self._fixed + sum(self._least)

    def _cheapest(self, stage: int, kept: np.ndarray) -> int:
        """MAdds of the cheapest network that is left in a stage.

        Of a chain that is its cheapest path from the input to the last node; of a cell,
        all of whose nodes stay, each node's cheapest pair.
        """
        joined, paths = self.space.stages[stage].joined, [0]
        for node, costs in zip(kept.tolist(), self._costs[stage], strict=True):
            before = [0] * len(node) if joined else reversed(paths)
            inputs = [
                path + madds
                for path, ops, prices in zip(before, node, costs, strict=False)
                for madds, on in zip(prices, ops, strict=True)
                if on
            ]
            paths.append(min(inputs, default=math.inf))
        return sum(paths) if joined else paths[-1]

    def _record(self, where, op, reason, gate=None):
        stage, row, column = where
        self.madds -= self._costs[stage][row][column][op]
        name, dst = self.space.operators[op], row + 1
        self.removals.append(
            Removal(stage + 1, dst - column - 1, dst, name, self.madds, reason, gate)
        )

    def _delete_unread(self, stage):
        graph = self.space.stages[stage]
        (after,) = architecture.delete_unread([graph], [self.kept[stage]])
        for row, column, op in np.argwhere(self.kept[stage] & ~after).tolist():
            self._record((stage, row, column), op, "unread")
        self.kept[stage] = after

    def result(self) -> tuple[Kept, list[Removal]]:
        """What is left, and the removals in order."""
        return tuple(self.kept), self.removals


def least_madds(space: Space, macro: cost.Macro) -> int:
    """MAdds of the cheapest network of a space, in which every node has an input."""
    return Pruner(space, macro, space.full(), target=0).least()


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
    time, until when the weights adapt.

    Args:
      space: the space.
      macro: the sizes at which MAdds are counted.
      kept: what is left so far.
      beta: gates of the edges, for each stage [N, L].
      alpha: gates of the operators, for each stage [N, L, operators].
      threshold: on gates.
      target: MAdds at or under which nothing more is removed.
      share: of the edges that are left, which may go at once. Where nothing could go
        then, since nodes would become unread with any, the weakest goes nevertheless.

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
    weak.sort(key=lambda entry: entry[0])
    edges = sum(int(stage.any(axis=2).sum()) for stage in kept)
    pruner = Pruner(space, macro, kept, target, most=max(1, math.floor(share * edges)))
    _remove_weak(pruner, weak, len(weak))
    if not pruner.removals:
        pruner = Pruner(space, macro, kept, target)
        _remove_weak(pruner, weak, 1)
    return pruner.result()


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
