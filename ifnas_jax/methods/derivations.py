"""How a search's last state becomes an architecture, where pruning did not (3.5).

Removal of the weakest pairs down to a budget, or each node's strongest edges.
"""

from collections.abc import Sequence

import numpy as np

from ifnas_jax import architecture
from ifnas_jax.architecture import cost
from ifnas_jax.architecture.masks import Kept
from ifnas_jax.errors import UnmetError
from ifnas_jax.methods.pruning import ascending
from ifnas_jax.methods.removal import Pruner, Removal
from ifnas_jax.spaces.graph import Space

# Edges that each node keeps in the derivations that go by their number.
INPUTS = {"keep1": 1, "keep2": 2}


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
    pruner = _drop(space, macro, kept, strength, target)
    if pruner.madds > target:
        raise UnmetError(
            f"target_madds is {target:,}, but with one operator left at every node "
            f"the network still has {pruner.madds:,}; raise the target."
        )
    return pruner.result()


def drop_weakest(
    space: Space,
    macro: cost.Macro,
    kept: Kept,
    strength: Sequence[np.ndarray],
    target: int,
) -> tuple[Kept, int]:
    """`to_target` if it can be met, and the MAdds that are left in any case."""
    pruner = _drop(space, macro, kept, strength, target)
    return tuple(pruner.kept), pruner.madds


def _drop(space, macro, kept, strength, target) -> Pruner:
    pruner = Pruner(space, macro, kept, target)
    for value, *where, op in ascending(kept, strength):
        if pruner.madds <= target:
            break
        pruner.remove(where, [op], "weakest", value)
    return pruner


def keep_strongest(
    space: Space, kept: Kept, strength: Sequence[np.ndarray], inputs: int
) -> Kept:
    """Each node keeps its strongest edges; an edge is as strong as its strongest pair.

    With one input, all of its operators that are left stay (Table 3 of the paper); with
    more, each keeps its strongest operator, as in the space of DARTS. Unread nodes are
    deleted.

    Args:
      space: the space.
      kept: what is left so far.
      strength: for each stage, the strength of each pair, [N, L, operators].
      inputs: edges that a node keeps; those that it has if they are fewer.
    """
    result = []
    for stage, values in zip(kept, strength, strict=True):
        values = np.where(stage, values, -1.0)
        edges = values.max(axis=2)
        # Among equals the nearest, and the first operator.
        order = np.argsort(-edges, axis=1, kind="stable")[:, :inputs]
        best = np.zeros(edges.shape, bool)
        np.put_along_axis(best, order, True, axis=1)
        chosen = stage & best[:, :, None]
        if inputs > 1:
            first = np.arange(values.shape[2]) == values.argmax(axis=2)[:, :, None]
            chosen &= first
        result.append(chosen)
    return architecture.delete_unread(space.stages, result)
