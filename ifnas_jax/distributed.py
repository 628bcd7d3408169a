"""Processes and devices: the only file that knows how many there are."""

from typing import Any

import jax

from ifnas_jax.errors import InputError

# The name of the devices' axis inside a pmapped step.
AXIS = "batch"


def is_primary() -> bool:
    """Whether this process writes the files of the run."""
    return jax.process_index() == 0


def processes() -> dict[str, int]:
    """This process and how many there are, as the data pipeline's arguments."""
    return {
        "process_index": jax.process_index(),
        "process_count": jax.process_count(),
    }


def check_batch(field: str, batch_size: int, count: int | None = None) -> None:
    """Refuses a global batch that the devices don't divide.

    Args:
      field: of the config, that holds it.
      batch_size: over all devices.
      count: of devices; those that are attached by default.

    Raises:
      InputError: it doesn't come out even.
    """
    count = count or jax.device_count()
    if batch_size % count:
        raise InputError(
            f"{field} is {batch_size}, which the {count} devices don't divide; set a "
            f"multiple of {count}."
        )


def shard(batch: Any) -> Any:
    """Splits this process' rows: [b, ...] to [devices, b / devices, ...]."""
    count = jax.local_device_count()
    return jax.tree.map(lambda x: x.reshape(count, -1, *x.shape[1:]), batch)


def describe_devices() -> dict[str, Any]:
    """What the run computes on, for its result."""
    device = jax.devices()[0]
    return {
        "platform": device.platform,
        "kind": device.device_kind,
        "count": jax.device_count(),
        "processes": jax.process_count(),
    }
