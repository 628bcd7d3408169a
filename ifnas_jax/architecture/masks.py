"""Masks: which pairs take part in a step, and which of its gates move.

Host side, NumPy. `kept` is what pruning has left: for each stage a bool array
[N, L, operators]. From it the masks of every sampling step of a loop are rebuilt and
stacked; inside the train step they are data, indexed by step.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ifnas_jax.architecture import delete_unread
from ifnas_jax.spaces.graph import Edge, Space

Kept = tuple[np.ndarray, ...]


class StageMasks(NamedTuple):
    """One stage in one sampling step; stacked, a leading axis counts the steps.

    Attributes:
      active: bool [N, L, operators], pairs that are computed and trained.
      gated: bool [N], nodes of the group, whose inputs are weighted by their gates;
        the others take their backbone edge (`methods/relaxation.py` says how).
      learned: bool [N], nodes whose architecture parameters move.
    """

    active: np.ndarray
    gated: np.ndarray
    learned: np.ndarray


Masks = tuple[StageMasks, ...]


def backbone(kept: np.ndarray) -> np.ndarray:
    """The nearest surviving edge of each node, with its surviving operators.

    That is pre-1 until pre-1 is pruned; `rerouted` counts the nodes for which it is
    another edge.
    """
    edges = kept.any(axis=2)
    nearest = edges & (np.cumsum(edges, axis=1) == 1)
    return kept & nearest[:, :, None]


def rerouted(kept: Kept) -> int:
    """Nodes that survive without their pre-1 edge, in all stages."""
    edges = [stage.any(axis=2) for stage in kept]
    return sum(int((stage.any(axis=1) & ~stage[:, 0]).sum()) for stage in edges)


def unlearned(kept: Kept, masks: Masks) -> int:
    """Surviving nodes whose gates move in no step of the loop, in all stages."""
    return sum(
        int((stage.any(axis=(1, 2)) & ~steps.learned.any(axis=0)).sum())
        for stage, steps in zip(kept, masks, strict=True)
    )


def whole(kept: Kept, learned: bool) -> Masks:
    """The whole super-network; `learned` says whether its gates move."""
    return tuple(
        StageMasks(
            stage.copy(),
            np.ones(len(stage), bool),
            np.full(len(stage), learned),
        )
        for stage in kept
    )


def group(
    space: Space,
    kept: Kept,
    nodes: Sequence[Iterable[int]],
    added: Sequence[Iterable[Edge]] | None = None,
    added_learn: bool = True,
) -> Masks:
    """The sub-super-network of one group (section 3.4 of the paper).

    Args:
      space: the space.
      kept: what pruning has left.
      nodes: for each stage, the node numbers of the group.
      added: for each stage, connections added on purpose; the node where one ends is
        gated too, over its backbone and the added connections.
      added_learn: whether the gates of those nodes move too; if not, as many nodes
        learn in a step as without additions.
    """
    masks = []
    added = added or [()] * len(kept)
    for graph, stage, members, extra in zip(
        space.stages, kept, nodes, added, strict=True
    ):
        active = backbone(stage)
        gated = np.zeros(len(stage), bool)
        for node in members:
            active[node - 1] = stage[node - 1]
            gated[node - 1] = True
        own = gated.copy()
        for src, dst in extra:
            pair = dst - 1, dst - src - 1
            if stage[pair].any():
                active[pair] = stage[pair]
                gated[dst - 1] = True
        # Where pre-1 was pruned the backbone may pass a node by. It would then learn
        # from the regulariser and decay alone, so it takes no part.
        (active,) = delete_unread([graph], [active])
        gated &= active.any(axis=(1, 2))
        learned = gated.copy() if added_learn else gated & own
        masks.append(StageMasks(active, gated, learned))
    return tuple(masks)


def matched(kept: Kept, nodes: Sequence[Iterable[int]]) -> Masks:
    """The whole super-network, of which only the given nodes' gates move."""
    masks = []
    for stage, members in zip(whole(kept, learned=False), nodes, strict=True):
        learned = stage.learned.copy()
        learned[[node - 1 for node in members]] = True
        masks.append(stage._replace(learned=learned))
    return tuple(masks)


def stack(steps: Sequence[Masks]) -> Masks:
    """Stacks the masks of a loop's steps along a new first axis."""
    return tuple(
        StageMasks(*(np.stack(leaves) for leaves in zip(*stage, strict=True)))
        for stage in zip(*steps, strict=True)
    )
