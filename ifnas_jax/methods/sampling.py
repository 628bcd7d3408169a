"""Which part of the super-network each sampling step of a loop trains."""

from collections.abc import Callable, Sequence

from ml_collections import ConfigDict

from ifnas_jax.architecture import masks as mask_lib
from ifnas_jax.architecture.masks import Kept, Masks
from ifnas_jax.spaces.graph import Edge, Space
from ifnas_jax.spaces.interleaving import (
    added_connections,
    adjacent_groups,
    random_groups,
    sampling_groups,
)


def modulus(config: ConfigDict, space: Space) -> int:
    """How many groups there are."""
    return config.sampling.modulus or space.modulus


def loop_masks(config: ConfigDict, space: Space) -> int:
    """How many masks a loop has: L + 1 in a chain, the whole network's first.

    `SearchSchedule.mask` says which of them a step takes.
    """
    return modulus(config, space) + 1


def groups(config: ConfigDict, space: Space) -> list[tuple[tuple[int, ...], ...]]:
    """For each stage, its groups of node numbers.

    By the node number modulo `sampling.modulus`; or groups of the same sizes, whose
    candidates interleave: with `sampling.groups` "random" drawn once with the seed,
    with "adjacent" of nodes that follow on each other.
    """
    count = modulus(config, space)
    if config.sampling.groups == "adjacent":
        return [adjacent_groups(stage, count) for stage in space.stages]
    if config.sampling.groups == "random":
        return [
            random_groups(stage, count, [config.seed, index])
            for index, stage in enumerate(space.stages)
        ]
    return [sampling_groups(stage, count) for stage in space.stages]


def additions(
    config: ConfigDict, space: Space, own: Sequence[Sequence[Sequence[int]]], index: int
) -> list[tuple[Edge, ...]]:
    """For each stage, what is added on purpose to group `index` of the groups `own`."""
    count = config.sampling.interleaved
    return [
        added_connections(stage, groups[index], count, [config.seed, number])
        for number, (stage, groups) in enumerate(zip(space.stages, own, strict=True))
    ]


def sampled(config: ConfigDict, space: Space) -> Callable[[Kept, int], Masks]:
    """The masks of IF-NAS (section 3.4), and of its controls.

    Step 0 of a loop is the whole super-network with the gates frozen; step j trains the
    group j mod `sampling.modulus`. With `sampling.groups` "matched" every step trains
    the whole super-network, but moves the gates of the step's group only.
    """
    count, own = modulus(config, space), groups(config, space)

    def step_masks(kept: Kept, index: int) -> Masks:
        nodes = [stage[index] for stage in own]
        if config.sampling.groups == "matched":
            return mask_lib.matched(kept, nodes)
        added = additions(config, space, own, index)
        learn = config.sampling.interleaved_learn
        return mask_lib.group(space, kept, nodes, added, learn)

    def masks(kept: Kept, loop: int) -> Masks:
        del loop
        steps = [
            step_masks(kept, step % count)
            for step in range(1, loop_masks(config, space))
        ]
        return mask_lib.stack([mask_lib.whole(kept, learned=False), *steps])

    return masks


def unsampled(config: ConfigDict, space: Space) -> Callable[[Kept, int], Masks]:
    """Every step trains the whole super-network and all of its gates.

    A loop has as many steps as under sampling, so that prunings come at the same
    iterations.
    """
    count = loop_masks(config, space)

    def masks(kept: Kept, loop: int) -> Masks:
        del loop
        step = mask_lib.whole(kept, learned=True)
        return mask_lib.stack([step] * count)

    return masks
