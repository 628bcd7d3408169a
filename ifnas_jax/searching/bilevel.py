"""The gradient of the architecture on data that the weights don't see (DARTS).

Losses are functions of (weights, architecture); `reduce` takes the mean over devices.
"""

from collections.abc import Callable
from typing import Any

import jax

Loss = Callable[[Any, Any], jax.Array]


def first_order(arch_loss: Loss, params: Any, arch: Any) -> Any:
    """∇_α L_val(w, α): the weights count as their own optimum."""
    return jax.grad(arch_loss, argnums=1)(params, arch)


def second_order(
    loss: Loss,
    arch_loss: Loss,
    params: Any,
    arch: Any,
    trace: Any,
    *,
    rate: jax.Array,
    momentum: float,
    weight_decay: float,
    reduce: Callable[[Any], Any] = lambda tree: tree,
) -> Any:
    """∇_α L_val(w', α) - ξ ∇²_{α,w} L_train(w, α) ∇_{w'} L_val(w', α), DARTS' Eq. (7).

    w' is w after one virtual step of momentum SGD on the training loss, with learning
    rate ξ. The Hessian-vector product is exact: forward over reverse mode.

    Args:
      loss: L_train, of (w, α).
      arch_loss: L_val, of (w, α).
      params: w.
      arch: α.
      trace: the running sum of momentum SGD, like w.
      rate: ξ.
      momentum: of the virtual step.
      weight_decay: of the virtual step.
      reduce: over devices, of gradients with respect to w.
    """
    gradient = reduce(jax.grad(loss)(params, arch))

    def step(w, g, t):
        return w - rate * (momentum * t + g + weight_decay * w)

    ahead = jax.tree.map(step, params, gradient, trace)
    d_ahead, d_arch = jax.grad(arch_loss, argnums=(0, 1))(ahead, arch)
    vector = reduce(d_ahead)
    # Of both, or what comes before the first gate would have no reverse mode inside the
    # forward one, and operators may have gradients of their own making.
    gradients = lambda w: jax.grad(loss, argnums=(0, 1))(w, arch)[1]  # noqa: E731
    _, product = jax.jvp(gradients, (params,), (vector,))
    return jax.tree.map(lambda d, p: d - rate * p, d_arch, product)
