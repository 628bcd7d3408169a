"""What searching and retraining share: compiled steps, optimisers, metrics."""

import functools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from ifnas_jax import distributed
from ifnas_jax.errors import DivergedError

# Steps that may be queued on the device: enough to hide the host's work, few enough
# to bound the memory of the batches that wait.
IN_FLIGHT = 2

# For a function that runs once: what counts is that it compiles soon. (On two CPU cores
# a first state takes 6 s in place of 20 s.)
jit_once = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)


def compute_dtype(config: ConfigDict) -> Any:
    """The dtype of the computation; everything that is kept is float32."""
    if config.dtype == "auto":
        return jnp.dtype("bfloat16" if jax.default_backend() == "tpu" else "float32")
    return jnp.dtype(config.dtype)


def compile_step(
    step: Callable,
    arguments: tuple,
    donate: bool = True,
    devices: Sequence[jax.Device] | None = None,
) -> tuple[Callable, float]:
    """Compiles a step over all devices, ahead of time.

    The step's last argument is a batch with a leading device axis; all others are
    the same on every device and so are the results. The compiled step can't be
    compiled again: arguments of another shape are an error (of one process).

    Args:
      step: a function that reduces over the axis `distributed.AXIS`.
      arguments: an example of its arguments, or their shapes.
      donate: whether the first argument's memory is reused for the results.
      devices: which to compile for, attached or not; all attached ones by default.

    Returns:
      The compiled step, and the seconds that compiling took.
    """
    mapped = jax.pmap(
        step,
        axis_name=distributed.AXIS,
        in_axes=(*(None,) * (len(arguments) - 1), 0),
        out_axes=None,
        donate_argnums=(0,) if donate else (),
        devices=devices,
    )
    start = time.perf_counter()
    if jax.process_count() > 1:
        # Ahead of time, JAX compiles for arrays that span the processes; its pmap
        # makes them of each process' own. So it is run once, for nothing.
        zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), arguments)
        jax.block_until_ready(mapped(*zeros))
        compiled = mapped
    else:
        compiled = mapped.lower(*arguments).compile()
    return compiled, time.perf_counter() - start


def place(tree: Any, split: bool = False) -> Any:
    """Puts an argument on this process' devices, ahead of time.

    Args:
      tree: of arrays.
      split: along the first axis, a part for each device; else each has all of it.
    """
    devices = jax.sharding.Mesh(jax.local_devices(), (distributed.AXIS,))
    spec = jax.sharding.PartitionSpec(*((distributed.AXIS,) if split else ()))
    return jax.device_put(tree, jax.sharding.NamedSharding(devices, spec))


def evaluation_batch(batch: Any) -> Any:
    """Shapes of an evaluation batch: those of a training batch, and a mask."""
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), batch)
    return {**shapes, "mask": jax.ShapeDtypeStruct(batch["label"].shape, jnp.float32)}


def accumulated(function: Callable, batch: Any, parts: int) -> Any:
    """The mean of a function's results over the parts of a batch, one after the other.

    Only one part is in memory at a time. Batch norm sees a part, not the batch.

    Args:
      function: of a part; returns a tree of arrays.
      batch: arrays [b, ...].
      parts: how many; they divide b.
    """
    if parts == 1:
        return function(batch)
    split = jax.tree.map(lambda x: x.reshape(parts, -1, *x.shape[1:]), batch)
    shapes = jax.eval_shape(function, jax.tree.map(lambda x: x[0], split))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

    def add(total, part):
        return jax.tree.map(jnp.add, total, function(part)), None

    total, _ = jax.lax.scan(add, zeros, split)
    return jax.tree.map(lambda x: x / parts, total)


class MaskedMomentumState(NamedTuple):
    """The running sum of gradients, like the parameters."""

    trace: Any


def masked_momentum(decay: float) -> optax.GradientTransformationExtraArgs:
    """Momentum that stands still where `active` is false.

    There the running sum keeps its value and the update is zero, so a parameter that
    takes no part in a step has no gradient, no momentum and no decay in it.
    """

    def init(params):
        return MaskedMomentumState(jax.tree.map(jnp.zeros_like, params))

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

    def __init__(self, rows: Sequence[Mapping[str, float]] = ()):
        """Goes on with the `rows` of the steps before, if there were some."""
        self._steps: list[dict[str, Any]] = [
            {key: np.float32(value) for key, value in row.items()} for row in rows
        ]

    def add(self, metrics: dict[str, jax.Array]) -> None:
        """Adds a step's metrics; waits for an earlier step, to bound the queue."""
        self._steps.append(metrics)
        if len(self._steps) > IN_FLIGHT:
            jax.block_until_ready(self._steps[-1 - IN_FLIGHT])

    def rows(self) -> list[dict[str, float]]:
        """The metrics of each step since the last mean; waits for the last step."""
        rows = jax.device_get(self._steps)
        return [{key: float(value) for key, value in row.items()} for row in rows]

    def mean(self, step: int) -> dict[str, float]:
        """The mean of each metric since the last call; waits for the last step.

        Args:
          step: the number of updates applied, for the message.

        Raises:
          DivergedError: the loss is not finite.
        """
        rows = jax.device_get(self._steps)
        self._steps = []
        means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        if not math.isfinite(means["loss"]):
            raise DivergedError(
                f"the loss became {means['loss']} in the {len(rows)} steps before step "
                f"{step}; the last good checkpoint is kept: start again with a lower "
                "learning rate in a new workdir."
            )
        return means


class ShardedBatches:
    """An iterator's batches, on this process' devices; close it when done."""

    def __init__(self, batches: Any):
        self._batches = batches
        self._peeked: list[Any] = []

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> Any:
        if self._peeked:
            return self._peeked.pop()
        return place(distributed.shard(next(self._batches)), split=True)

    def peek(self) -> Any:
        """The batch that comes next, without taking it."""
        if not self._peeked:
            self._peeked.append(next(self))
        return self._peeked[0]

    def close(self) -> None:
        """Stops reading ahead."""
        self._batches.close()
