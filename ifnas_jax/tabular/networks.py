"""Every distinct network of one stage of a chain, and the integer that tells each."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from ifnas_jax.architecture import Architecture, KeptStage, from_kept
from ifnas_jax.architecture.cost import Macro
from ifnas_jax.spaces.graph import Space

# What the stages around the tabulated one keep on their direct connections.
_AROUND = "sep_conv_3x3"


def key_of(stage: KeptStage, operators: Sequence[str]) -> int:
    """The key of what a stage keeps; mirror images of each other have two.

    Connections count by destination, then by source: (0, 1), (0, 2), (1, 2), (0, 3) and
    so on, of the nodes that are left, numbered in their order; each has a bit an
    operator.

    Args:
      stage: of a chain.
      operators: of the space.
    """
    number = {node: index for index, node in enumerate((0, *stage.nodes()))}
    key = 0
    for edge in stage.edges:
        src, dst = number[edge.src], number[edge.dst]
        place = dst * (dst - 1) // 2 + src
        for op in edge.ops:
            key |= 1 << (place * len(operators) + operators.index(op))
    return key


def networks(
    space: Space, macro: Macro, stage: int
) -> Iterator[tuple[int, Architecture]]:
    """Every distinct network of one stage of a chain: (key, network), by key.

    Args:
      space: a chain.
      macro: the sizes of networks.
      stage: which stage is tabulated, from 0; the others are plain chains.
    """
    graph = space.stages[stage]
    count = len(space.operators)
    options = list(itertools.product((False, True), repeat=count))
    found: dict[int, Architecture] = {}
    around = [full & (np.arange(full.shape[1]) == 0)[:, None] for full in space.full()]
    plain = [kept & [name == _AROUND for name in space.operators] for kept in around]
    for chosen in itertools.product(options, repeat=len(graph.edges())):
        kept = np.zeros((*graph.valid().shape, count), bool)
        for (src, dst), ops in zip(graph.edges(), chosen, strict=True):
            kept[dst - 1, dst - src - 1] = ops
        if not _is_whole(kept):
            continue
        network = from_kept(space, [*plain[:stage], kept, *plain[stage + 1 :]], macro)
        found.setdefault(key_of(network.stages[stage], space.operators), network)
    yield from sorted(found.items())


def _is_whole(kept: np.ndarray) -> bool:
    """Whether the last node, and every node that is read, has an input; [N, L, ops]."""
    edges = kept.any(axis=2)
    read = {len(edges)}
    for node in range(len(edges), 0, -1):
        if node in read:
            sources = node - 1 - np.flatnonzero(edges[node - 1])
            if not len(sources):
                return False
            read |= set(sources.tolist())
    return True
