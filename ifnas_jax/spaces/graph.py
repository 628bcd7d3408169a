"""A search space: a static graph of stages, nodes and precursor edges.

Node 0 of a stage is its input; nodes 1..N are searched. Node n may read nodes
n-1 .. n-min(n, L); the connection (n-l, n) is "pre-l" of node n. Everything that
is stored per edge is an array of shape [N, L, ...], row n-1 and column l-1; the
entries with l > n do not exist, and `Stage.valid` says which those are.
"""

import dataclasses
import math

import numpy as np

Edge = tuple[int, int]  # (source node, destination node)


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage: `num_nodes` searchable nodes, each reading its last L nodes."""

    num_nodes: int
    num_precursors: int

    def precursors(self, node: int) -> tuple[int, ...]:
        """Nodes that `node` may read, the nearest first."""
        return tuple(
            node - distance for distance in range(1, min(node, self.num_precursors) + 1)
        )

    def edges(self) -> tuple[Edge, ...]:
        """Every connection of the stage, sorted by (destination, source)."""
        return tuple(
            (src, dst)
            for dst in range(1, self.num_nodes + 1)
            for src in reversed(self.precursors(dst))
        )

    def valid(self) -> np.ndarray:
        """Which entries of an [N, L] array are edges: bool [N, L]."""
        node = np.arange(1, self.num_nodes + 1)[:, None]
        distance = np.arange(1, self.num_precursors + 1)[None, :]
        return distance <= node


@dataclasses.dataclass(frozen=True)
class Space:
    """A stack of stages and the operators that every edge may carry."""

    name: str
    num_precursors: int
    nodes: tuple[int, ...]
    operators: tuple[str, ...]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages, input side first."""
        return tuple(Stage(n, self.num_precursors) for n in self.nodes)

    @property
    def num_edges(self) -> int:
        """Connections in all stages together."""
        return sum(int(stage.valid().sum()) for stage in self.stages)

    def full(self) -> tuple[np.ndarray, ...]:
        """Survivors before any pruning: a bool [N, L, operators] for each stage."""
        return tuple(
            np.repeat(stage.valid()[:, :, None], len(self.operators), axis=2)
            for stage in self.stages
        )

    def size(self) -> int:
        """Architectures in the space: each node picks a non-empty set of inputs.

        An input of a node is an (edge, operator) pair, so node n contributes
        2^(operators·min(n, L)) - 1 (section 3.2 of the paper). Exact.
        """
        return self._size([range(1, n + 1) for n in self.nodes])

    def size_paper(self) -> int:
        """The count that gives the figures of the paper's Table 1. Exact.

        They come out when the input counts as one of a stage's N nodes.
        """
        return self._size([range(1, n) for n in self.nodes])

    def _size(self, nodes) -> int:
        pairs = len(self.operators)
        return math.prod(
            2 ** (pairs * min(node, self.num_precursors)) - 1
            for stage in nodes
            for node in stage
        )
