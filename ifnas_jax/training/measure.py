"""Loss and accuracy, and their means over many steps."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ifnas_jax.errors import DivergedError
from ifnas_jax.runtime import distributed
from ifnas_jax.training.program import IN_FLIGHT


def cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float = 0.0):
    """Mean cross entropy of float32 logits [batch, classes], labels smoothed."""
    targets = jax.nn.one_hot(labels, logits.shape[-1])
    targets = optax.smooth_labels(targets, smoothing)
    return optax.softmax_cross_entropy(logits, targets).mean()


def accuracy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The share of rows whose largest logit is the label's."""
    return (logits.argmax(axis=-1) == labels).mean()


def count_hits(
    logits: jax.Array, labels: jax.Array, mask: jax.Array
) -> dict[str, jax.Array]:
    """Hits at rank 1 and 5 and rows, over all devices, counting rows with mask 1.

    Among equal logits the lower class comes first, as in `argmax`; with 5 classes or
    fewer top-5 is 1.
    """
    own = jnp.take_along_axis(logits, labels[:, None], axis=-1)
    lower = jnp.arange(logits.shape[-1]) < labels[:, None]
    rank = ((logits > own) | ((logits == own) & lower)).sum(axis=-1)
    # A network that returns NaN is not right about anything.
    finite = mask * jnp.isfinite(logits).all(axis=-1)
    counts = {
        "top1": ((rank < 1) * finite).sum(),
        "top5": ((rank < 5) * finite).sum(),
        "rows": mask.sum(),
    }
    return jax.lax.psum(counts, distributed.AXIS)


def evaluate(step: Callable, arguments: tuple, batches: Iterable) -> dict[str, float]:
    """Top-1 and top-5 accuracy, as fractions of all rows with mask 1.

    Args:
      step: compiled; returns what `count_hits` returns.
      arguments: what the step takes before the batch.
      batches: of {"image", "label", "mask"}.
    """
    total = {"top1": 0.0, "top5": 0.0, "rows": 0.0}
    for batch in batches:
        counts = jax.device_get(step(*arguments, distributed.shard(batch)))
        total = {key: total[key] + float(counts[key]) for key in total}
    return {key: total[key] / total["rows"] for key in ("top1", "top5")}


class Meter:
    """Averages the metrics of steps without waiting for them one by one."""

    def __init__(self, rows: Sequence[Mapping[str, float]] = (), at: int | None = None):
        """Averages from a step on.

        Args:
          rows: of the steps before it since the last mean, if there were some.
          at: which of a step's metrics are these, where they are those of many lanes.
        """
        self._before = [
            {key: np.float32(value) for key, value in row.items()} for row in rows
        ]
        self._steps: list[dict[str, Any]] = []
        self._at = () if at is None else at

    def add(self, metrics: dict[str, jax.Array]) -> None:
        """Adds a step's metrics; waits for an earlier step, to bound the queue."""
        self._steps.append(metrics)
        if len(self._steps) > IN_FLIGHT:
            jax.block_until_ready(self._steps[-1 - IN_FLIGHT])

    def _rows(self) -> list[dict[str, np.ndarray]]:
        rows = jax.device_get(self._steps)
        own = [{key: value[self._at] for key, value in row.items()} for row in rows]
        return [*self._before, *own]

    def rows(self) -> list[dict[str, float]]:
        """The metrics of each step since the last mean; waits for the last step."""
        return [
            {key: float(value) for key, value in row.items()} for row in self._rows()
        ]

    def mean(self, step: int) -> dict[str, float]:
        """The mean of each metric since the last call; waits for the last step.

        Args:
          step: the number of updates applied, for the message.

        Raises:
          DivergedError: the loss is not finite.
        """
        rows = self._rows()
        self._before, self._steps = [], []
        means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        if not math.isfinite(means["loss"]):
            raise DivergedError(
                f"the loss became {means['loss']} in the {len(rows)} steps before step "
                f"{step}; the last good checkpoint is kept: start again with a lower "
                "learning rate in a new workdir."
            )
        return means
