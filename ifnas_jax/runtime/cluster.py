"""Which processes share a run: what the flags say, or else the environment.

Knows no JAX: a run on one machine finds out that it is alone at no cost.
"""

import argparse
from collections.abc import Mapping
from typing import NamedTuple

from ifnas_jax.errors import InputError

# What JAX needs to see of a Slurm step to find its processes.
_SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_PROCID", "SLURM_LOCALID")


class Cluster(NamedTuple):
    """How the processes of a run find each other; None: JAX finds out."""

    coordinator: str | None = None  # HOST:PORT of process 0
    processes: int | None = None
    process: int | None = None


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of a run of several processes."""
    group = parser.add_argument_group("several processes (see launch/README.md)")
    group.add_argument(
        "--distributed",
        choices=("auto", "on", "off"),
        default="auto",
        help="auto: where the environment names several; on: JAX finds them (Cloud "
        "TPU pods); off: this one is alone",
    )
    group.add_argument(
        "--coordinator", metavar="HOST:PORT", help="by hand: where process 0 listens"
    )
    group.add_argument("--processes", type=int, metavar="N", help="how many there are")
    group.add_argument(
        "--process", type=int, metavar="I", help="which this one is, from 0"
    )


def find_cluster(
    arguments: argparse.Namespace, environ: Mapping[str, str]
) -> Cluster | None:
    """The processes that share the run, or None if this one is alone.

    Args:
      arguments: of `add_flags`.
      environ: the environment. JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and
        JAX_PROCESS_ID stand for the flags.

    Raises:
      InputError: some of the three flags are missing, or one is out of range.
    """
    if arguments.distributed == "off":
        return None
    given = {
        "--coordinator": arguments.coordinator
        or environ.get("JAX_COORDINATOR_ADDRESS"),
        "--processes": _number(arguments.processes, environ, "JAX_NUM_PROCESSES"),
        "--process": _number(arguments.process, environ, "JAX_PROCESS_ID"),
    }
    missing = [flag for flag, value in given.items() if value is None]
    if not missing:
        return _checked(Cluster(*given.values()))
    if len(missing) < 3 and not _is_detected(environ):
        raise InputError(
            f"{', '.join(missing)} is missing; give --coordinator, --processes and "
            "--process together, or none of them."
        )
    if arguments.distributed == "on" or _is_detected(environ):
        return Cluster(*given.values())
    return None


def _number(value: int | None, environ: Mapping[str, str], name: str) -> int | None:
    if value is not None or name not in environ:
        return value
    try:
        return int(environ[name])
    except ValueError as error:
        raise InputError(f"{name} is {environ[name]!r}; set it to a number.") from error


def _checked(cluster: Cluster) -> Cluster:
    _, colon, port = cluster.coordinator.rpartition(":")
    if not colon or not port.isdecimal():
        raise InputError(
            f"--coordinator is {cluster.coordinator!r}; give it as HOST:PORT, with a "
            "free port of process 0's host."
        )
    if cluster.processes < 1 or not 0 <= cluster.process < cluster.processes:
        raise InputError(
            f"--process is {cluster.process} of --processes {cluster.processes}; "
            "number them from 0."
        )
    return cluster


def _is_detected(environ: Mapping[str, str]) -> bool:
    """Whether the environment is one of several processes that JAX can find."""
    tpus = environ.get("TPU_PROCESS_ADDRESSES", environ.get("TPU_WORKER_HOSTNAMES", ""))
    tasks = environ.get("SLURM_STEP_NUM_TASKS", "1")
    return (
        (tasks != "1" and all(name in environ for name in _SLURM))
        or "," in tpus
        or environ.get("MEGASCALE_NUM_SLICES", "1") != "1"
        or {"KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX"} <= environ.keys()
    )
