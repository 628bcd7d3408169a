"""The discretisation penalty, Eq. (3) of the paper, and its strength over time."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ifnas_jax.methods.schedule import SearchSchedule


def log_share(gates: jax.Array, on: jax.Array) -> jax.Array:
    """Σ ln(1 + g / mean g) along the last axis, over the entries that are on.

    The mean runs over the same entries. Concave in the shares, so it pushes towards
    one winner; a single entry contributes the constant ln 2.

    Args:
      gates: [..., K], in (0, 1).
      on: bool [..., K].

    Returns:
      [...]; 0 where nothing is on.
    """
    count = on.sum(axis=-1, keepdims=True)
    total = jnp.where(on, gates, 0.0).sum(axis=-1, keepdims=True)
    # A single entry has share 1 however small its gate, which nothing holds up any
    # more: as a quotient it would underflow to NaN. Where nothing is on it must be
    # finite too, or its gradient is NaN.
    total = jnp.maximum(total, 1e-15)
    share = jnp.where(count > 1, gates * count / total, 1.0)
    return jnp.where(on, jnp.log1p(share), 0.0).sum(axis=-1)


def stage_penalty(
    beta: jax.Array, alpha: jax.Array, active: jax.Array, learned: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The two sums of Eq. (3) over the nodes of one stage whose gates move.

    Args:
      beta: gates g(β) of the edges, [N, L].
      alpha: gates g(α) of the operators, [N, L, O].
      active: bool [N, L, O].
      learned: bool [N].

    Returns:
      Σ over edges (multiplied by μ1) and Σ over operators (multiplied by μ2).
    """
    edges = active.any(axis=-1) & learned[:, None]
    operators = active & learned[:, None, None]
    return log_share(beta, edges).sum(), log_share(alpha, operators).sum()


class Strength(NamedTuple):
    """μ and its next increment; part of the checkpointed state."""

    mu: float
    delta: float

    def pace(self, kept_pace: bool) -> "Strength":
        """Once a loop: μ grows by a constant, or halves if pruning kept pace.

        Additive increase and multiplicative decrease hold μ where gates close one
        after the other. (Doubling increments, as in `adapt`, overshoot here: a gate
        takes many loops to close, and by the time that the first ones do, μ is so
        large that most others follow at once.)
        """
        if kept_pace:
            return self._replace(mu=self.mu / 2)
        return self._replace(mu=self.mu + self.delta)

    def adapt(self, removed: int, wanted: int, first_delta: float) -> "Strength":
        """GOLD-NAS' rule, applied once a loop.

        If at least `wanted` pairs were removed, μ halves and the increment starts
        again at `first_delta`; otherwise the increment doubles and is added to μ.
        """
        if removed >= wanted:
            return Strength(self.mu / 2, first_delta)
        return Strength(self.mu + 2 * self.delta, 2 * self.delta)


def mu(
    config: ConfigDict, schedule: SearchSchedule, strength: Strength, step: int
) -> np.ndarray:
    """(μ1, μ2) of the sampling step that begins at `step`; 0 until regularisation."""
    fields = config.penalty
    if step < schedule.prune:
        return np.zeros(2, np.float32)
    factors = np.array([fields.edges, fields.operators])
    if fields.schedule == "linear":
        # As in the authors' code: μ1 = E/2400 and μ2 = E/1800, E epochs in.
        epochs = (step - schedule.prune) / schedule.epoch
        return np.float32(factors * epochs / (2400, 1800))
    return np.float32(factors * strength.mu)


def next_strength(
    config: ConfigDict,
    schedule: SearchSchedule,
    strength: Strength,
    step: int,
    *,
    before: int,
    after: int,
    removed: int,
) -> Strength:
    """μ of the next loop, from how pruning went after this one.

    Args:
      config: reads `penalty` and `target_madds`.
      schedule: of the search.
      strength: of this loop.
      step: at which the loop ended.
      before: MAdds of the retained architecture before the pruning.
      after: MAdds after it.
      removed: pairs that were removed.
    """
    fields = config.penalty
    if fields.schedule == "adaptive":
        return strength.adapt(removed, fields.min_removed, fields.delta)
    if config.derive != "prune":
        return strength.pace(False)
    end = schedule.prune + fields.prune_epochs * schedule.epoch
    loops_left = max(1.0, (end - step) / schedule.loop + 1)
    return strength.pace(before - after >= (before - config.target_madds) / loops_left)
