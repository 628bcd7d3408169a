"""The second way of skipping: a branch of the program for each group, chosen by data.

The loops of `pairs.py` are as long as data says, and on a GPU the host may have to read
that length at every turn. Here the pairs of a branch are static, so that nothing is
read but which branch is taken, once a step; the pairs of a node run as one batched
operator; and the program grows with the nodes and the groups. On the way back the
branch is computed again, and all that is in it kept meanwhile. The results are the same
up to rounding.
"""

import functools
import operator
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ifnas_jax.architecture.masks import Kept, Masks
from ifnas_jax.nn.pairs import Operator


def distinct_branches(masks: Masks) -> tuple[Kept, ...]:
    """The different masks among a loop's sampling steps, fewest pairs first.

    Args:
      masks: stacked, of the whole space: those of a search that has pruned nothing.
    """
    steps = [tuple(stage.active[i] for stage in masks) for i in range(_length(masks))]
    distinct = {tuple(s.tobytes() for s in step): step for step in steps}
    return tuple(sorted(distinct.values(), key=_size))


def _length(masks: Masks) -> int:
    return len(masks[0].active)


def _size(step: Kept) -> int:
    return sum(int(stage.sum()) for stage in step)


def switched(apply: Callable, branches: Sequence[Kept]) -> Callable:
    """A super-network's `apply` that runs the smallest branch with all active pairs.

    What a branch has beside them (pairs that were pruned after it was compiled) is
    computed, with weight 0. So results don't depend on when a run was started again.

    Args:
      apply: (params, weights, active, images) -> logits, where `active` is static.
      branches: for each its pairs, fewest first; the last one has all that there are.

    Returns:
      The same function, where `active` is data.

    Raises:
      ValueError: the last branch lacks pairs of another one.
    """
    for own, *others in zip(branches[-1], *branches, strict=True):
        if any((other & ~own).any() for other in others):
            raise ValueError("the last branch must have all pairs")

    def run(branch):
        static = list(branch)
        return lambda params, weights, images: apply(params, weights, static, images)

    runs = [run(branch) for branch in branches]

    def value(index, *arguments):
        firsts = [functools.partial(_value, one) for one in runs]
        return lax.switch(index, firsts, *arguments)

    def forward(index, *arguments):
        return value(index, *arguments), (index, *arguments)

    def backward(residuals, grad):
        index, *arguments = residuals
        pulls = [functools.partial(_pull_back, one) for one in runs]
        return None, *lax.switch(index, pulls, grad, *arguments)

    # Differentiated branch by branch: JAX would keep what each of them has to.
    chosen = jax.custom_vjp(value)
    chosen.defvjp(forward, backward)

    def switched_apply(params, weights, active, images):
        index = smallest_cover(branches, active)
        weights = [jnp.where(on, w, 0.0) for on, w in zip(active, weights, strict=True)]
        return chosen(index, params, weights, images)

    return switched_apply


def _value(run, *arguments):
    # By way of the gradients that operators have of their own making, so that the whole
    # can be differentiated forwards, as second order does.
    return jax.vjp(run, *arguments)[0]


def _pull_back(run, grad, *arguments):
    return jax.vjp(run, *arguments)[1](grad)


def smallest_cover(branches: Sequence[Kept], active: Sequence[jax.Array]) -> jax.Array:
    """The number of the first branch that has all active pairs.

    Args:
      branches: as for `switched`.
      active: for each stage, bool [N, L, O].
    """
    covers = []
    for branch in branches:
        outside = [(on & ~own).any() for on, own in zip(active, branch, strict=True)]
        covers.append(~jnp.stack(outside).any())
    return jnp.argmax(jnp.stack(covers))


def add_static_pairs(
    operators: Sequence[Operator],
    first: int | None,
    params: Sequence,
    weights: jax.Array,
    active: np.ndarray,
    sources: jax.Array | None,
    outputs: jax.Array,
) -> jax.Array:
    """What `pairs.add_pairs` computes, where `active` is static, node by node.

    A node's pairs of one operator are one batched operator.
    """
    before, nodes = len(outputs) - len(active), list(outputs)
    for row, o in np.ndindex(len(active), len(operators)):
        columns = np.flatnonzero(active[row, :, o])
        if not columns.size:
            continue
        if sources is None:
            x = jnp.stack([nodes[row - column - first] for column in columns])
        else:
            x = sources[columns]
        own = jax.tree.map(operator.itemgetter((row, columns)), params[o])
        y = jax.vmap(operators[o].apply)(own, x)
        # In float32, and so is the gradient of the weights.
        weight = weights[row, columns, o].reshape(-1, *[1] * (y.ndim - 1))
        total = (weight * y.astype(jnp.float32)).sum(axis=0)
        nodes[before + row] = nodes[before + row] + total.astype(y.dtype)
    return jnp.stack(nodes)
