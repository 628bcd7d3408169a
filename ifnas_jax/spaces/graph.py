"""A search space: a static graph of stages, nodes and precursor edges.

Nodes 1..N of a stage are searched; node 0 is its input, and with two inputs node -1 is
the farther one. Node n may read nodes n-1, n-2, ..., L of them at most; the connection
(n-l, n) is "pre-l" of node n. Everything that is stored per edge is an array of shape
[N, L, ...], row n-1 and column l-1; the entries where n-l is no node do not exist, and
`Stage.valid` says which those are.

A network is a row of positions, at each of which a stage is computed. A chain has its
three stages once each; a network of cells has many cells, and two of them, which halve
the resolution, at 1/3 and 2/3 of its depth.
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from ifnas_jax.errors import InputError

Edge = tuple[int, int]  # (source node, destination node)

# Of cells, of nodes in a stage, and of nodes times L in a space: beyond these, which
# are far above the paper's 20 and 448, a number is a slip that would fill the memory.
MOST = 1000
_MOST_ENTRIES = 10_000


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage: `num_nodes` searched nodes, each reading the last L before it.

    Attributes:
      num_nodes: N.
      num_precursors: L.
      num_inputs: nodes that the stage is given: 0, or 0 and -1.
      joined: whether its output is all nodes concatenated, or else the last node.
      stride: of the edges that leave its inputs; the others have 1.
    """

    num_nodes: int
    num_precursors: int
    num_inputs: int = 1
    joined: bool = False
    stride: int = 1

    @property
    def first(self) -> int:
        """The number of the farthest input."""
        return 1 - self.num_inputs

    def precursors(self, node: int) -> tuple[int, ...]:
        """Nodes that `node` may read, the nearest first."""
        count = min(node - self.first, self.num_precursors)
        return tuple(node - distance for distance in range(1, count + 1))

    def edges(self) -> tuple[Edge, ...]:
        """Every connection of the stage, sorted by (destination, source)."""
        return tuple(
            (src, dst)
            for dst in range(1, self.num_nodes + 1)
            for src in reversed(self.precursors(dst))
        )

    def outputs(self) -> tuple[int, ...]:
        """The nodes that make the stage's output."""
        first = 1 if self.joined else self.num_nodes
        return tuple(range(first, self.num_nodes + 1))

    def sources(self) -> np.ndarray:
        """Source node of each entry of an [N, L] array, also where there is none."""
        node = np.arange(1, self.num_nodes + 1)[:, None]
        return node - np.arange(1, self.num_precursors + 1)[None, :]

    def valid(self) -> np.ndarray:
        """Which entries of an [N, L] array are edges: bool [N, L]."""
        return self.sources() >= self.first

    def strided(self) -> np.ndarray:
        """Which edges have the stage's stride, not 1: bool [N, L]."""
        return self.valid() & (self.sources() <= 0) & (self.stride > 1)


class Position(NamedTuple):
    """A place in a network: which stage is there, and at which of three levels.

    Level v has width C·2^v and the first level's resolution halved v times.
    """

    stage: int
    level: int


@dataclasses.dataclass(frozen=True)
class Space:
    """Stages and the operators that every edge may carry.

    Attributes:
      name: "lchain", "darts" or "goldnas".
      operators: names of the candidates of every edge.
      stages: the searched stages, each with architecture parameters of its own.
      shared: whether all cells of a kind are one stage: (normal, reduction).
      inputs_kept: how many inputs a node keeps, one operator each; 0: any number.
    """

    name: str
    operators: tuple[str, ...]
    stages: tuple[Stage, ...]
    shared: bool = False
    inputs_kept: int = 0

    @property
    def has_cells(self) -> bool:
        """Whether the stages are cells, not the stages of a chain."""
        return self.stages[0].joined

    @property
    def num_precursors(self) -> int:
        """L, the same in every stage."""
        return self.stages[0].num_precursors

    @property
    def nodes(self) -> tuple[int, ...]:
        """Searched nodes of each stage."""
        return tuple(stage.num_nodes for stage in self.stages)

    @property
    def modulus(self) -> int:
        """Of node numbers, the smallest whose groups have no interleaved candidates.

        L (section 3.4 of the paper), or in stages that have fewer than L nodes, like
        cells, one node at a time.
        """
        return min(self.num_precursors, max(self.nodes))

    @property
    def num_edges(self) -> int:
        """Connections in all stages together."""
        return sum(int(stage.valid().sum()) for stage in self.stages)

    def positions(self, cells: int) -> tuple[Position, ...]:
        """The places of a network, input side first.

        Args:
          cells: of the network; not read in a chain.

        Raises:
          InputError: a network of these cells can't have that many.
        """
        if not self.has_cells:
            return tuple(Position(index, index) for index in range(len(self.stages)))
        check_cells("a network", cells)
        if not self.shared and cells != len(self.stages):
            raise InputError(
                f"space {self.name!r} was searched with {len(self.stages)} cells, "
                f"which differ, so a network of {cells} can't be made; set cells to "
                f"{len(self.stages)}."
            )
        reductions = reduction_cells(cells)
        return tuple(
            Position(
                int(cell in reductions) if self.shared else cell,
                sum(cell >= reduction for reduction in reductions),
            )
            for cell in range(cells)
        )

    def full(self) -> tuple[np.ndarray, ...]:
        """Survivors before any pruning: a bool [N, L, operators] for each stage."""
        return tuple(
            np.repeat(stage.valid()[:, :, None], len(self.operators), axis=2)
            for stage in self.stages
        )

    def size(self) -> int:
        """Architectures in the space. Exact.

        Each node picks a non-empty set of its inputs, which are (edge, operator) pairs
        (section 3.2 of the paper); or, with `inputs_kept`, that many edges and one
        operator for each of them.
        """
        return self._size([range(1, n + 1) for n in self.nodes], len(self.operators))

    def size_paper(self) -> int:
        """The count that gives the figures of the paper's Table 1. Exact.

        Chains: they come out when the input counts as one of a stage's N nodes.
        DARTS: its own seven operators; all others two, whatever is searched here.
        """
        if self.has_cells:
            nodes = [range(1, n + 1) for n in self.nodes]
            return self._size(nodes, 7 if self.shared else 2)
        return self._size([range(1, n) for n in self.nodes], 2)

    def _size(self, nodes, operators: int) -> int:
        return math.prod(
            self._choices(len(stage.precursors(node)), operators)
            for stage, numbers in zip(self.stages, nodes, strict=True)
            for node in numbers
        )

    def _choices(self, candidates: int, operators: int) -> int:
        """What one node can choose among its candidate edges."""
        if self.inputs_kept:
            kept = min(self.inputs_kept, candidates)
            return math.comb(candidates, kept) * operators**kept
        return 2 ** (operators * candidates) - 1


def cell(num_nodes: int, num_precursors: int, reduction: bool) -> Stage:
    """A cell: two inputs, all nodes concatenated; a reduction's inputs have stride 2.

    Raises:
      InputError: the node count or L is out of range.
    """
    if type(num_nodes) is not int or num_nodes < 1:
        raise InputError(
            f"space.nodes is {num_nodes}; give one whole number of at least 1, the "
            "nodes of every cell."
        )
    if not 1 <= num_precursors <= num_nodes + 1:
        raise InputError(
            f"space.num_precursors is {num_precursors}, but the last of {num_nodes} "
            f"nodes of a cell has {num_nodes + 1} before it; set it from 1 to "
            f"{num_nodes + 1}."
        )
    stride = 2 if reduction else 1
    return Stage(num_nodes, num_precursors, num_inputs=2, joined=True, stride=stride)


def reduction_cells(cells: int) -> tuple[int, int]:
    """Which cells halve the resolution and double the width, counted from 0."""
    return cells // 3, 2 * cells // 3


def check_cells(what: str, cells: int) -> None:
    """Refuses fewer cells than a network takes, and too many.

    Raises:
      InputError: fewer than three, or more than `MOST`.
    """
    if cells > MOST:
        raise InputError(f"{what} has {cells} cells; set it to {MOST} or less.")
    if cells < 3:
        raise InputError(
            f"{what} has {cells} cells, but two of them reduce and one comes before; "
            "set it to 3 or more."
        )


def check_size(space: Space) -> None:
    """Refuses a space that is too large to be searched.

    Raises:
      InputError: a stage has too many nodes, or all have too many candidates.
    """
    entries = sum(space.nodes) * space.num_precursors
    if max(space.nodes) > MOST or entries > _MOST_ENTRIES:
        raise InputError(
            f"space.nodes has {max(space.nodes)} nodes in a stage, and the space "
            f"{entries} times space.num_precursors in all; at most {MOST} and "
            f"{_MOST_ENTRIES} are possible, so lower one of them."
        )
