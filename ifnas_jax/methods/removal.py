"""What may be removed, and what that leaves: the account of every pruning.

Host side, NumPy. Rules that hold everywhere: the last pair of a node never goes (so
neither its last edge nor that edge's last operator), nor does a pair without which the
target can't be met any more; an edge without operators is gone, and after each removal
the nodes that nobody reads are deleted.
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
