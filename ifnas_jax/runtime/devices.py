"""The devices that compute: whether they are there, and whether a job fits in them."""

import contextlib
import re
from collections.abc import Iterator

import jax
from ml_collections import ConfigDict

from ifnas_jax.errors import InputError, describe

# What XLA, its allocators and CUDA say, be it of running or of compiling.
_FULL = re.compile("RESOURCE_EXHAUSTED|out[ _]of[ _]memory", re.IGNORECASE)

# What the system says of other processes, which may come back.
_LOST = re.compile("DEADLINE_EXCEEDED|UNAVAILABLE|CANCELLED")

# What an out-of-memory error costs whom it meets.
_NEW = {
    "search": "a new workdir",
    "retrain": "a new workdir, to which search/architecture.json may be copied",
}


def check() -> None:
    """Looks for the devices, before anything else of JAX needs them.

    Raises:
      InputError: JAX can't use them, or those that JAX_PLATFORMS names aren't there.
      RuntimeError: another process of the run was lost.
    """
    try:
        jax.devices()
        return
    except AssertionError as error:  # as of cuda where there is no GPU
        reason, cause = "there is no such device", error
    except RuntimeError as error:
        if _LOST.search(str(error)):
            raise
        # The rest says what to set it to.
        reason, cause = re.split(r"\.? \((set|you may)|\n", str(error))[0], error
    wanted = jax.config.jax_platforms
    if wanted:
        raise InputError(
            f"JAX_PLATFORMS is {wanted!r}, which can't be used here ({reason}); name "
            "platforms that are here, such as cpu, or unset it."
        ) from cause
    raise InputError(
        f"JAX can't use the devices of this machine ({reason}); mend that, or set "
        "JAX_PLATFORMS=cpu to do without them."
    ) from cause


@contextlib.contextmanager
def memory_errors(config: ConfigDict, job: str) -> Iterator[None]:
    """Says of a job that memory is full, of a device or of this machine, what to set.

    Args:
      config: of the run.
      job: the name of its part of the config.

    Raises:
      InputError: memory was full.
    """
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not _FULL.search(str(error)):
            raise
        fields = config[job]
        many = ""
        if job == "search" and config.lanes == "together":
            many = ", or lanes to 'in_turn', which takes one seed at a time"
        raise InputError(
            f"{job}.batch_size is {fields.batch_size} and {job}.accumulate "
            f"{fields.accumulate}, for which memory does not suffice "
            f"({describe(error).rstrip('.')}); set {job}.accumulate higher, so that "
            f"each device's batch is computed in more parts, or the batch size lower"
            f"{many}, in {_NEW[job]}."
        ) from error
