"""What is when: everything that is scheduled is a function of the step.

The step is the number of updates already applied. Functions take Python integers or
traced ones.
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from ifnas_jax.errors import InputError


class SearchSchedule(NamedTuple):
    """A search in steps.

    Attributes:
      epoch: steps in one.
      beta: first step at which β moves; before it only ω does.
      alpha: first step at which α moves.
      prune: first step with the regulariser and pruning.
      total: steps in all, a whole number of loops.
      period: steps of one sampling step.
      positions: sampling steps of one loop.
      first: mask of a loop's first sampling step: 0, the whole network, or 1.
      sampled: first step at which the loop samples.
    """

    epoch: int
    beta: int
    alpha: int
    prune: int
    total: int
    period: int
    positions: int
    first: int
    sampled: int

    @property
    def loop(self) -> int:
        """Steps of one loop."""
        return self.period * self.positions

    def phase(self, step: int) -> str:
        """What trains at a step: "weights", "beta", "alpha" or "prune"."""
        if step < self.beta:
            return "weights"
        if step < self.alpha:
            return "beta"
        return "alpha" if step < self.prune else "prune"

    def mask(self, step: Any) -> Any:
        """Index of the step's masks among the stacked ones (0: whole network)."""
        index = self.first + (step // self.period) % self.positions
        return index * (step >= self.sampled)


def search_schedule(
    config: ConfigDict, num_examples: int, num_masks: int
) -> SearchSchedule:
    """The schedule of a search.

    Args:
      config: reads `search` and `sampling`.
      num_examples: in the training part.
      num_masks: of a loop, the whole network's included.

    Raises:
      InputError: the phases leave no time for pruning, or there are too many steps.
    """
    fields = config.search
    epoch = max(1, num_examples // fields.batch_size)
    first = 0 if config.sampling.loop_warmup else 1
    positions = num_masks - first
    beta = round(fields.weights_epochs * epoch)
    alpha = beta + round(fields.beta_epochs * epoch)
    prune = alpha + round(fields.alpha_epochs * epoch)
    loop = config.sampling.period * positions
    total = math.ceil(fields.max_epochs * epoch / loop) * loop
    if total <= prune:
        raise InputError(
            f"search.max_epochs is {fields.max_epochs}, but the phases before pruning "
            f"take {prune / epoch:g} epochs; raise it, or shorten weights_epochs, "
            "beta_epochs and alpha_epochs."
        )
    _check_steps("search.max_epochs", fields.max_epochs, total)
    sampled = 0 if config.sampling.warmup_sampling else beta
    return SearchSchedule(
        epoch,
        beta,
        alpha,
        prune,
        total,
        config.sampling.period,
        positions,
        first,
        sampled,
    )


def search_rate(config: ConfigDict, schedule: SearchSchedule) -> optax.Schedule:
    """Learning rate of ω: linear to 0 over the whole search."""
    return lambda step: config.search.learning_rate * (1 - step / schedule.total)


def retrain_steps(config: ConfigDict, num_examples: int) -> tuple[int, int]:
    """Steps of an epoch of retraining, and in all.

    Raises:
      InputError: there are too many.
    """
    epoch = max(1, num_examples // config.retrain.batch_size)
    total = config.retrain.epochs * epoch
    _check_steps("retrain.epochs", config.retrain.epochs, total)
    return epoch, total


def _check_steps(field: str, epochs: float, total: int) -> None:
    """Refuses more steps than a 32-bit counter takes."""
    if total >= 2**31:
        raise InputError(
            f"{field} is {epochs}, which is {total:,} steps with this data set and "
            "batch size; set it so that there are fewer than 2**31."
        )


def retrain_rate(config: ConfigDict, epoch: int) -> optax.Schedule:
    """Learning rate of retraining, constant over each epoch of `epoch` steps.

    With E epochs, w of warm-up and f at the end, epoch e has lr·(e + 1)/w, then
    lr·(E - f - e)/(E - f), and in the end lr·(E - e)/((E - f)·f): the PC-DARTS recipe.
    With no epoch before the end, E - f counts as 1.
    """
    fields = config.retrain
    peak, epochs = fields.learning_rate, fields.epochs
    warmup, final = fields.warmup_epochs, fields.final_epochs

    def rate(step):
        e = step // epoch
        main = max(epochs - final, 1)
        decay = (main - e) / main
        last = (epochs - e) / (main * max(final, 1))
        up = (e + 1) / max(warmup, 1)
        return peak * jnp.where(e < warmup, up, jnp.where(e < main, decay, last))

    return rate
