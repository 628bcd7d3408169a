"""A step as one compiled program over all devices, and its batches."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ifnas_jax.errors import InputError
from ifnas_jax.runtime import distributed

# Steps that may be queued on the device: enough to hide the host's work, few enough
# to bound the memory of the batches that wait.
IN_FLIGHT = 2

# For a function that runs once: what counts is that it compiles soon. (On two CPU cores
# Linen's init of a network takes 6 s in place of 20 s.)
jit_once = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)


class Steps(NamedTuple):
    """What a job compiles.

    Attributes:
      train: the train step; its first argument and result is the state.
      evaluate: of a search, (state, masks) -> accuracy on the validation part, or None
        if nothing asks for it; of a retraining, (state) -> {"top1", "top5"} on the test
        part. Fractions.
    """

    train: Callable
    evaluate: Callable | None


def compute_dtype(config: ConfigDict) -> Any:
    """The dtype of the computation; everything that is kept is float32."""
    if config.dtype == "auto":
        return jnp.dtype("bfloat16" if _has_bfloat16(jax.devices()[0]) else "float32")
    return jnp.dtype(config.dtype)


def _has_bfloat16(device: jax.Device) -> bool:
    """Whether a device multiplies it faster: TPUs, and NVIDIA's GPUs from 8.0 on."""
    if device.platform != "gpu":
        return device.platform == "tpu"
    capability = str(getattr(device, "compute_capability", ""))
    major = capability.partition(".")[0]
    return major.isdecimal() and int(major) >= 8


def skipping_of(config: ConfigDict) -> str:
    """How inactive pairs are skipped, "auto" replaced.

    Raises:
      InputError: in a way of an earlier version.
    """
    skipping = config.search.skipping
    if skipping == "auto":
        # TPUs need no host for a loop's length; but lanes would wait for each other.
        backend, together = jax.default_backend(), config.lanes == "together"
        nodes = backend == "gpu" or (backend != "cpu" and together)
        return "nodes" if nodes else "loops"
    if skipping not in ("loops", "nodes"):
        raise InputError(
            f"search.skipping of the workdir's run is {skipping!r}, which this version "
            "does not have; use the version of that run, or another workdir."
        )
    return skipping


def lanes_of(config: ConfigDict) -> str:
    """How many seeds are taken, "auto" replaced; of one seed as it is.

    Raises:
      InputError: together, by several processes.
    """
    if config.seeds == 1:
        return config.lanes
    alone = jax.process_count() == 1
    if config.lanes == "auto":
        accelerated = jax.default_backend() != "cpu"
        return "together" if accelerated and alone else "in_turn"
    if config.lanes == "together" and not alone:
        raise InputError(
            f"lanes is 'together', but the run has {jax.process_count()} processes; "
            "set it to 'in_turn', or start one process."
        )
    return config.lanes


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
    shapes = {
        key: jax.ShapeDtypeStruct(batch[key].shape, batch[key].dtype)
        for key in ("image", "label")
    }
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
