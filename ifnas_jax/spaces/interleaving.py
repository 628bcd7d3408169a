"""Interleaved connections, the sampling groups that avoid them, and additions.

Sections 3.3 and 3.4 of the paper. Connections are (source, destination) pairs of
node numbers inside one stage.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from ifnas_jax.spaces.graph import Edge, Stage


def interleave(first: Edge, second: Edge) -> bool:
    """Whether two connections interleave (section 3.3).

    A connection (a, b) covers the gaps d + 1/2 with a < d + 1/2 < b. Two of length
    2 or more interleave when they cover a common gap. Connections that end in the
    same node are candidates of that node: they compete and do not interleave.
    """
    (a, b), (c, d) = first, second
    if b == d or b - a < 2 or d - c < 2:
        return False
    return max(a, c) < min(b, d)


def count_interleaved(edges: Iterable[Edge]) -> int:
    """Number of interleaved pairs among `edges`."""
    edges = np.array([(a, b) for a, b in edges if b - a >= 2]).reshape(-1, 2)
    src, dst = edges.T
    # As `interleave`, of one with all: in plain Python thousands would take minutes.
    pairs = sum(
        int(((np.maximum(src, a) < np.minimum(dst, b)) & (dst != b)).sum())
        for a, b in edges
    )
    return pairs // 2  # Each was met twice.


def sampling_groups(stage: Stage, modulus: int) -> tuple[tuple[int, ...], ...]:
    """G_λ = the nodes whose index is λ modulo `modulus`, for λ = 0..modulus-1.

    With `modulus` = L, the default, no two connections that end in nodes of one
    group interleave (section 3.4); with L - 1 some do. In a cell, whose nodes read all
    before them, a group is one node: `modulus` is the number of nodes.
    """
    return tuple(
        tuple(n for n in range(1, stage.num_nodes + 1) if n % modulus == remainder)
        for remainder in range(modulus)
    )


def random_groups(
    stage: Stage, modulus: int, seed: int | Sequence[int]
) -> tuple[tuple[int, ...], ...]:
    """Groups of the sizes of `sampling_groups`, of nodes drawn at random.

    A control: their candidates interleave. With groups of one node, as in a cell, they
    are the same groups in another order.
    """
    sizes = [len(group) for group in sampling_groups(stage, modulus)]
    nodes = np.random.default_rng(seed).permutation(stage.num_nodes) + 1
    ends = np.cumsum(sizes)
    return tuple(
        tuple(sorted(nodes[end - size : end].tolist()))
        for size, end in zip(sizes, ends, strict=True)
    )


def adjacent_groups(stage: Stage, modulus: int) -> tuple[tuple[int, ...], ...]:
    """Groups of the sizes of `sampling_groups`, of nodes that follow on each other.

    A control: their candidates cover the same gaps, and so interleave.
    """
    sizes = [len(group) for group in sampling_groups(stage, modulus)]
    nodes = list(range(1, stage.num_nodes + 1))
    ends = np.cumsum(sizes)
    return tuple(
        tuple(nodes[end - size : end]) for size, end in zip(sizes, ends, strict=True)
    )


def active_connections(stage: Stage, nodes: Iterable[int]) -> tuple[Edge, ...]:
    """All connections that end in `nodes`, sorted by (destination, source)."""
    nodes = set(nodes)
    return tuple(edge for edge in stage.edges() if edge[1] in nodes)


def added_connections(
    stage: Stage, group: Iterable[int], count: int, seed: Sequence[int]
) -> tuple[Edge, ...]:
    """Connections that interleave with a group on purpose (Table 5).

    For each node n of the group, in order, `count` connections are drawn without
    replacement, uniformly, by a generator seeded with (*seed, n), among those that
    interleave with at least one candidate of n, end outside the group and were not
    drawn for an earlier node. A node with fewer such connections takes them all.
    """
    if not count:
        return ()
    group = tuple(group)
    others = [edge for edge in stage.edges() if edge[1] not in group]
    chosen: set[Edge] = set()
    for node in group:
        # What interleaves with any candidate does so with the longest.
        longest = (stage.precursors(node)[-1], node)
        pool = [e for e in others if e not in chosen and interleave(e, longest)]
        rng = np.random.default_rng([*seed, node])
        chosen |= {pool[index] for index in rng.permutation(len(pool))[:count]}
    return tuple(sorted(chosen, key=lambda edge: (edge[1], edge[0])))
