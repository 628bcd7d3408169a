"""Searches an architecture, retrains it and tests it.

    python -m ifnas_jax.main --config=lchain4:mnist5k --workdir=runs/first

Any field of the config can be set: --config.search.batch_size=64. Started again with
the same workdir, a run goes on where it was, or says that it is done.
"""

import argparse
import contextlib
import functools
import os
import signal
import sys
import time
from collections.abc import Sequence

from ml_collections import ConfigDict

from ifnas_jax import command, jobs, population, storage
from ifnas_jax.architecture import Architecture
from ifnas_jax.command import make_parser
from ifnas_jax.config.command_line import load_config
from ifnas_jax.config.validation import check_overrides, validate
from ifnas_jax.errors import (
    ChangedError,
    DivergedError,
    InputError,
    PreemptedError,
    StorageError,
    UnmetError,
)
from ifnas_jax.run import begin, given, result
from ifnas_jax.run.lock import Lock
from ifnas_jax.run.workdir import Workdir
from ifnas_jax.runtime import tpu
from ifnas_jax.runtime.cluster import Cluster, add_flags, find_cluster
from ifnas_jax.runtime.host_memory import keep_freed_memory

# Of errors; of any other in using files 4.
_EXIT = {ChangedError: 2, InputError: 2, UnmetError: 2, DivergedError: 3}

# Epochs of a run that is not mostly compiling.
_LONG = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Returns:
      0; 2 after bad input; 3 if training diverged; 4 if the workdir or the data can't
      be used any more (by ending the process); 75 after SIGTERM, with everything
      saved; 130 after Ctrl-C.
    """
    arguments, overrides = _parse(argv)
    signal.signal(signal.SIGTERM, stop)
    cluster, together = None, False
    tpu.keep_quiet()
    try:
        cluster = find_cluster(arguments, os.environ)
        config = load_config(arguments.config, overrides)
        check_overrides(config, load_config(arguments.config))
        if _epochs(config) >= _LONG:
            keep_freed_memory()
        state = run(config, arguments.workdir, cluster, arguments.architecture)
        if begin.is_first(cluster):
            show(config, arguments.workdir, state)
    except (InputError, DivergedError, StorageError, OSError) as error:
        code, message = _EXIT.get(type(error), 4), describe(error)
    except PreemptedError as error:
        code, message = 75, "stopped by SIGTERM; the same command goes on from here."
        together = not isinstance(error, _StoppedError)
    except KeyboardInterrupt:
        code = 130
        message = "interrupted; the same command goes on at the last checkpoint."
    else:
        return 0
    with contextlib.suppress(OSError):  # They may be on the disk that is full.
        sys.stdout.flush()
        print(f"ifnas_jax: {message}", file=sys.stderr, flush=True)
    if cluster and not together:
        # Where process 0 is gone JAX ends the others: a moment lets them say why.
        time.sleep(1)
    if code == 4 or (cluster and not together):
        # Leaving in order would wait for the other processes, who may wait for this
        # one, and for threads of Orbax' that wait for what can't be written.
        os._exit(code)
    return code


def _parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    parser = make_parser("ifnas_jax.main", __doc__)
    parser.add_argument(
        "--config",
        required=True,
        metavar="NAME[:DATASET]",
        help="of configs/, or a file; and on which data set (default: imagenet2012)",
    )
    parser.add_argument(
        "--workdir",
        required=True,
        metavar="DIR",
        help="where the run keeps everything that it writes",
    )
    parser.add_argument(
        "--architecture",
        metavar="FILE",
        help="train this architecture.json, at the config's sizes; search nothing",
    )
    add_flags(parser)
    return parser.parse_known_args(argv)


def _epochs(config: ConfigDict) -> float:
    """Of all jobs together."""
    lengths = {"search": config.search.max_epochs, "retrain": config.retrain.epochs}
    return sum(lengths[job] for job in lengths if job in config.jobs)


class _StoppedError(PreemptedError):
    """SIGTERM came to this process before there was anything to save."""


def stop(*unused) -> None:
    """Before there is anything to save, SIGTERM just ends the run."""
    raise _StoppedError


def describe(error: Exception) -> str:
    """An error in one sentence."""
    if isinstance(error, ConnectionError) or not isinstance(error, OSError):
        return str(error)
    where = f" {error.filename!r}" if error.filename else ""
    return (
        f"a file{where} can't be used ({error.strerror or error}); mend that, and the "
        "same command goes on at the last checkpoint."
    )


def run(
    config: ConfigDict,
    workdir: str,
    cluster: Cluster | None = None,
    architecture: Architecture | str | os.PathLike | None = None,
) -> str:
    """Runs the jobs of a config in a workdir, those that are not done yet.

    Args:
      config: as a user gives it; filled in.
      workdir: read and written by the first process alone.
      cluster: the processes that share the run; None: this one is alone.
      architecture: one to train, or its path, in place of a search.

    Returns:
      What is to be said of the run in the end.

    Raises:
      InputError: the config, the architecture, the data or the workdir can't be used.
      DivergedError: the loss is not finite.
      StorageError, OSError: the workdir or the data can't be used any more, or the
        processes can't be connected.
      PreemptedError: SIGTERM came, and everything is saved.
    """
    workdir = Workdir(storage.named("--workdir", workdir, checkpoints=True))
    network = given.adopt(config, architecture)
    validate(config)
    stored, done = begin.look(config, workdir, cluster)
    begin.settle(config, stored, workdir, cluster)
    if done:
        if begin.is_first(cluster):
            if network:
                given.check_same(given.sized(network, config), workdir)
            if result.is_unreported(workdir):
                jobs.report(workdir)
        return "is done already"
    # JAX and the data libraries are imported only when there is work to do.
    from ifnas_jax.runtime import devices, distributed

    devices.check()
    versions = result.versions()
    if begin.is_first(cluster) or storage.exists(workdir.path):
        _keep_compiled(workdir)
    dataset = jobs.open_data(config, resumed=stored is not None)
    _fill_in(config, dataset)
    begin.check_alike(config, versions)
    network = given.sized(network, config) if network else None
    lock = Lock(workdir)
    claim = functools.partial(begin.claim, config, workdir, stored, lock, network)
    try:
        if config.seeds > 1:
            population.run_all(config, dataset, workdir, versions, claim)
        else:
            jobs.run_one(config, dataset, workdir, versions, claim, network)
        distributed.barrier("the run is done")
    finally:
        lock.release()
    return "is done"


def _fill_in(config: ConfigDict, dataset) -> None:
    """What only the data set and the devices know."""
    from ifnas_jax import training

    config.dataset.num_classes = dataset.num_classes
    config.dataset.classes = dataset.classes
    config.dataset.labels = dataset.labels
    config.dataset.contents = dataset.contents
    config.dataset.test_split = dataset.test_split
    config.dtype = training.compute_dtype(config).name
    config.lanes = training.lanes_of(config)
    config.search.skipping = training.skipping_of(config)


def show(config: ConfigDict, workdir: str, state: str) -> None:
    """Prints what a run came to; `state` is of `run`."""
    place = Workdir(storage.named("--workdir", workdir, checkpoints=True))
    (result if config.seeds == 1 else population).show(place, state)


def _keep_compiled(workdir: Workdir) -> None:
    """Keeps programs in the workdir, so that a run that goes on need not compile.

    Unless JAX_COMPILATION_CACHE_DIR says where, as processes that share a disk should.
    """
    import jax

    if jax.config.jax_compilation_cache_dir is None:
        path = storage.absolute(workdir.compiled)
        jax.config.update("jax_compilation_cache_dir", path)
        if storage.in_bucket(workdir.path):
            # Those are XLA's own, which knows no buckets.
            jax.config.update("jax_persistent_cache_enable_xla_caches", "none")


if __name__ == "__main__":
    sys.exit(command.run("ifnas_jax", main, answers=False))
