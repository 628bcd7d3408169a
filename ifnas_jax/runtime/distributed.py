"""Processes and devices: how many there are, and what processes tell each other.

Process 0 alone reads and writes the workdir; the others get what they need of it from
there, so it may be a folder that only process 0 sees. All processes run the same
program on the same arguments, and meet in every step.
"""

import json
import os
import platform
import signal
import sys
import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any

import jax
import numpy as np
from jax._src.distributed import global_state
from jax.experimental import multihost_utils

from ifnas_jax.errors import ChangedError, InputError, StorageError, UnmetError
from ifnas_jax.runtime import devices
from ifnas_jax.runtime.cluster import Cluster

# The name of the devices' axis inside a pmapped step.
AXIS = "batch"

# Seconds to wait for the other processes, since machines of a pod that was preempted
# come back one by one; and those after which it is said.
_PATIENCE, _SILENCE = 900, 2.0

# Bytes of an error that every process tells the others, and which errors they tell.
_MESSAGE = 1024
_TOLD = {
    kind.__name__: kind for kind in (ChangedError, InputError, StorageError, UnmetError)
}


def start(cluster: Cluster) -> None:
    """Connects the processes of a run; before anything else of JAX.

    Whoever ends the process because of an error, or a signal, that comes meanwhile does
    so by `os._exit`: leaving in order would wait for them.

    Raises:
      ConnectionError: they don't find each other.
      InputError: JAX can't use the devices.
    """
    handler = signal.getsignal(signal.SIGTERM)
    connected: futures.Future[None] = futures.Future()

    def connect():
        # What was said by hand is not looked for: a Slurm step would get one GPU only.
        found = None if None in cluster else "deactivate"
        try:
            jax.distributed.initialize(
                *cluster,
                cluster_detection_method=found,
                initialization_timeout=_PATIENCE,
            )
            connected.set_result(None)
        except Exception as error:  # Whatever it is: raised below.
            connected.set_exception(error)

    # In a thread of its own, since JAX waits without looking at signals.
    threading.Thread(target=connect, daemon=True, name="connect").start()
    if not futures.wait([connected], _SILENCE).done:
        _say_waiting()
    while not futures.wait([connected], 1.0).done:
        pass
    try:
        connected.result()
        devices.check()
    except InputError:
        raise
    except (RuntimeError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise ConnectionError(
            f"the processes of the run can't be connected ({reason}); check "
            "--coordinator, --processes and --process and that all were started, or "
            "say --distributed=off."
        ) from error
    sys.excepthook = _leave
    if jax.process_count() == 1:
        # JAX put its own there, which asks the others.
        signal.signal(signal.SIGTERM, handler)


def _say_waiting() -> None:
    """Says for whom: a shell of four Slurm tasks is alone, and may not know it."""
    which = ""
    # JAX may still be finding out.
    if global_state.coordinator_address is not None:
        which = (
            f", as process {global_state.process_id} of {global_state.num_processes} "
            f"with the coordinator {global_state.coordinator_address}"
        )
    print(
        f"ifnas_jax: waiting for the other processes of the run{which}, for up to "
        f"{_PATIENCE // 60} minutes; say --distributed=off where this one is alone.",
        file=sys.stderr,
        flush=True,
    )


def _leave(*error) -> None:
    """After an error that nobody expected, the others must not be waited for."""
    sys.__excepthook__(*error)
    sys.stderr.flush()
    os._exit(1)


def is_primary() -> bool:
    """Whether this process reads and writes the files of the run."""
    return jax.process_index() == 0


def processes() -> dict[str, int]:
    """This process and how many there are, as the data pipeline's arguments."""
    return {
        "process_index": jax.process_index(),
        "process_count": jax.process_count(),
    }


def barrier(name: str) -> None:
    """Waits until every process is here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def from_primary(function: Callable[[], Any]) -> Any:
    """What process 0 finds out, in every process.

    Args:
      function: called by process 0 only; returns what JSON can hold.

    Raises:
      InputError, StorageError: process 0 raised it.
    """
    if jax.process_count() == 1:
        return function()
    told = None
    if is_primary():
        try:
            told = {"value": function()}
        except tuple(_TOLD.values()) as error:
            told = {"error": str(error), "kind": type(error).__name__}
        told = json.dumps(told).encode()
    told = json.loads(broadcast(told))
    if "error" in told:
        raise _TOLD[told["kind"]](told["error"])
    return told["value"]


def broadcast(content: bytes | None) -> bytes:
    """Process 0's bytes, in every process; the others give None."""
    if jax.process_count() == 1:
        return content
    content = content or b""
    size = np.array(len(content), np.int32)
    size = int(multihost_utils.broadcast_one_to_all(size))
    # As bytes, since a sum over processes would lose the sign of a zero.
    content = np.frombuffer(content.ljust(size, b"\0"), np.uint8)
    return multihost_utils.broadcast_one_to_all(content).tobytes()


def share(tree: Any, like: Any) -> Any:
    """Process 0's tree of arrays, in every process; the others give None.

    Args:
      tree: of process 0.
      like: a tree of arrays of the same structure, shapes and dtypes.
    """
    leaves, structure = jax.tree.flatten(like)
    if jax.process_count() == 1:
        return jax.tree.unflatten(structure, jax.tree.leaves(tree))
    content = None
    if is_primary():
        content = b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree))
    content, start, shared = broadcast(content), 0, []
    for leaf in map(np.asarray, leaves):
        end = start + leaf.nbytes
        array = np.frombuffer(content[start:end], leaf.dtype).reshape(leaf.shape)
        shared.append(array)
        start = end
    return jax.tree.unflatten(structure, shared)


def together(function: Callable[[], Any]) -> Any:
    """This process' result of a check that every process makes.

    Raises:
      InputError, StorageError: one of them raised it; then all do, so that none waits
        for another.
    """
    if jax.process_count() == 1:
        return function()
    result, message = None, ""
    try:
        result = function()
    except tuple(_TOLD.values()) as error:
        message = f"{type(error).__name__} {error}"
    told = np.zeros(_MESSAGE, np.uint8)
    encoded = np.frombuffer(message.encode()[:_MESSAGE], np.uint8)
    told[: len(encoded)] = encoded
    for process, row in enumerate(multihost_utils.process_allgather(told)):
        if row.any():
            text = row.tobytes().rstrip(b"\0").decode(errors="replace")
            kind, text = text.split(" ", 1)
            raise _TOLD[kind](f"process {process}: {text}")
    return result


def total(count: int) -> int:
    """The sum of every process' count."""
    if jax.process_count() == 1:
        return count
    return int(multihost_utils.process_allgather(np.array(count)).sum())


def check_batch(job: str, fields: Any, count: int | None = None) -> None:
    """Refuses a global batch that does not come out even.

    Args:
      job: the name of its part of the config.
      fields: that part, of which `batch_size` and `accumulate` are read.
      count: of devices; those that are attached by default.

    Raises:
      InputError: the devices, and the parts of each one's batch, don't divide it.
    """
    count, parts = count or jax.device_count(), fields.accumulate
    if fields.batch_size % (count * parts):
        also = f", and {job}.accumulate of {parts}," if parts > 1 else ""
        raise InputError(
            f"{job}.batch_size is {fields.batch_size}, which the {count} devices{also} "
            f"don't divide; set a multiple of {count * parts}."
        )


def shard(batch: Any) -> Any:
    """Splits this process' rows: [b, ...] to [devices, b / devices, ...]."""
    count = jax.local_device_count()
    return jax.tree.map(lambda x: x.reshape(count, -1, *x.shape[1:]), batch)


def describe_devices() -> dict[str, Any]:
    """What the run computes on, for its result."""
    device = jax.devices()[0]
    kind = _processor() if device.platform == "cpu" else device.device_kind
    return {
        "platform": device.platform,
        "kind": kind,
        "count": jax.device_count(),
        "processes": jax.process_count(),
    }


def _processor() -> str:
    """The model of the CPU, which JAX does not know."""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
