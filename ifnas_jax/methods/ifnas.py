"""IF-NAS: differentiable search with interleaving-free sampling (section 3.4).

A loop has L + 1 sampling steps. Step 0, its warm-up, trains the whole super-network
with the gates frozen; step j = 1..L trains the sub-super-network of the group
j mod L: the backbone, and every connection that ends in a node of the group.
"""

import functools

from ml_collections import ConfigDict

from ifnas_jax import masks as mask_lib
from ifnas_jax.masks import Kept, Masks
from ifnas_jax.methods import relaxation
from ifnas_jax.methods.interface import Method
from ifnas_jax.spaces.graph import Space
from ifnas_jax.spaces.interleaving import added_connections, sampling_groups


def ifnas(config: ConfigDict, space: Space) -> Method:
    """The method of the paper.

    Args:
      config: reads `sampling`, `relaxation` and `seed`.
      space: the space to search.
    """
    modulus = config.sampling.modulus or space.num_precursors
    groups = [sampling_groups(stage, modulus) for stage in space.stages]
    added = [
        [
            added_connections(stage, group, config.sampling.interleaved, config.seed)
            for group in stage_groups
        ]
        for stage, stage_groups in zip(space.stages, groups, strict=True)
    ]

    def masks(kept: Kept) -> Masks:
        steps = [mask_lib.whole(kept, learned=False)]
        for step in range(1, modulus + 1):
            index = step % modulus
            nodes = [stage[index] for stage in groups]
            extra = [stage[index] for stage in added]
            steps.append(mask_lib.group(kept, nodes, extra))
        return mask_lib.stack(steps)

    return Method(
        init=functools.partial(
            relaxation.init, space=space, scale=config.relaxation.init_scale
        ),
        masks=masks,
        weights=functools.partial(
            relaxation.weights, node_scale=config.relaxation.node_scale
        ),
        penalty=relaxation.penalty,
        gates=relaxation.gates,
    )
