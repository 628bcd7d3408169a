"""SGD as in PyTorch and Adam, both of which stand still where a mask is off."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax


class MaskedMomentumState(NamedTuple):
    """The running sum of gradients, like the parameters."""

    trace: Any


def masked_momentum(decay: float) -> optax.GradientTransformationExtraArgs:
    """Momentum that stands still where `active` is false.

    There the running sum keeps its value and the update is zero, so a parameter that
    takes no part in a step has no gradient, no momentum and no decay in it.
    """

    def init(params):
        # NumPy's, so that a first state needs no program.
        zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), params)
        return MaskedMomentumState(zeros)

    def update(updates, state, params=None, *, active):
        del params
        new = jax.tree.map(lambda g, t: g + decay * t, updates, state.trace)
        trace = jax.tree.map(jnp.where, active, new, state.trace)
        updates = jax.tree.map(lambda mask, x: jnp.where(mask, x, 0), active, new)
        return updates, MaskedMomentumState(trace)

    return optax.GradientTransformationExtraArgs(init, update)


def sgd(
    learning_rate: optax.ScalarOrSchedule,
    momentum: float,
    weight_decay: float,
    clip: float | None = None,
) -> optax.GradientTransformationExtraArgs:
    """SGD as in PyTorch, with `masked_momentum`; clips the gradient before decay."""
    return optax.chain(
        optax.clip_by_global_norm(clip) if clip else optax.identity(),
        optax.add_decayed_weights(weight_decay),
        masked_momentum(momentum),
        optax.scale_by_learning_rate(learning_rate),
    )


def momentum_trace(state: Any) -> Any:
    """The running sum in the state of `sgd`."""
    return next(part.trace for part in state if isinstance(part, MaskedMomentumState))


def adam(
    learning_rate: float, b1: float, b2: float, weight_decay: float
) -> optax.GradientTransformationExtraArgs:
    """Adam as in PyTorch, with decay in the gradient, where `active` is true.

    While nothing is active its state stands still, so that it starts when a phase does.
    """
    inner = optax.chain(
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_adam(b1, b2),
        optax.scale_by_learning_rate(learning_rate),
    )

    def update(updates, state, params=None, *, active):
        new, after = inner.update(updates, state, params)
        moving = jnp.any(jnp.stack([x.any() for x in jax.tree.leaves(active)]))
        state = jax.tree.map(lambda x, y: jnp.where(moving, x, y), after, state)
        new = jax.tree.map(lambda mask, x: jnp.where(mask, x, 0), active, new)
        return new, state

    return optax.GradientTransformationExtraArgs(inner.init, update)
