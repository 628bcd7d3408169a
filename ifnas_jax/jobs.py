"""The jobs of one run: its data, its search, its retraining, its result.

JAX and the data libraries are imported only when there is work to do.
"""

from collections.abc import Callable, Mapping

from ml_collections import ConfigDict

from ifnas_jax.errors import ChangedError, InputError, StorageError
from ifnas_jax.run import result
from ifnas_jax.run.workdir import Workdir


def open_data(config: ConfigDict, resumed: bool):
    """Opens the data set in every process; only a process that is alone prepares it.

    Raises:
      InputError: it can't be used.
      StorageError: the same, by a run that used it before.
    """
    from ifnas_jax.data.source import open_dataset
    from ifnas_jax.runtime import distributed

    opened, alone = [], distributed.processes()["process_count"] == 1

    def open_once():
        try:
            if not opened:
                opened.append(open_dataset(config.dataset, prepare=alone))
        except InputError as error:
            if not resumed or isinstance(error, ChangedError):
                raise
            raise StorageError(str(error)) from error

    # First in process 0: it prepares the embedded set, if they share a disk, once.
    distributed.from_primary(open_once)
    distributed.together(open_once)
    return opened[0]


def make_search(config: ConfigDict, dataset, workdir: Workdir, network=None):
    """Makes the search, if it is asked for; refuses what can't be run.

    After this a run is refused by nothing but what happens to it. `network` is an
    architecture to train, if there is one in place of a search.

    Raises:
      InputError: a job can't be run.
    """
    job = None
    if "search" in config.jobs:
        from ifnas_jax.searching import make

        job = make.make_search(config, dataset)
        make.check(job, dataset)
    if "retrain" in config.jobs:
        from ifnas_jax.retraining.check import check

        check(config, dataset, workdir, network)
    return job


def run_search(job, dataset, workdir: Workdir) -> None:
    """Searches, if there is a search.

    Raises:
      InputError: memory does not suffice.
    """
    from ifnas_jax.runtime.devices import memory_errors

    if job is not None:
        from ifnas_jax.searching.job import search

        with memory_errors(job.config, "search"):
            search(job, dataset, workdir)


def run_retraining(
    config: ConfigDict, dataset, workdir: Workdir, name: str = "retrain"
) -> None:
    """Retrains what was found, if that is asked for; `name` is shown.

    Raises:
      InputError: memory does not suffice.
    """
    from ifnas_jax.runtime.devices import memory_errors

    if "retrain" in config.jobs:
        from ifnas_jax.retraining.job import retrain

        with memory_errors(config, "retrain"):
            retrain(config, dataset, workdir, name)


def write_result(
    config: ConfigDict, dataset, workdir: Workdir, versions: Mapping[str, str]
) -> None:
    """Writes the result of a run whose jobs are done, and its report."""
    from ifnas_jax.runtime import distributed

    skipped = count_skipped(dataset)
    if distributed.is_primary():
        result.write(config, workdir, versions, skipped)
        report(workdir)


def run_one(
    config: ConfigDict,
    dataset,
    workdir: Workdir,
    versions: Mapping[str, str],
    claim: Callable[[], None],
    network=None,
) -> None:
    """Runs all of them.

    Args:
      config: resolved.
      dataset: opened.
      workdir: of the run.
      versions: of `result.versions`.
      claim: takes the workdir; called by the first process, when nothing is refused
        any more.
      network: an architecture to train, which claiming puts in its place.
    """
    from ifnas_jax.runtime import distributed

    job = distributed.together(lambda: make_search(config, dataset, workdir, network))
    distributed.from_primary(claim)
    run_search(job, dataset, workdir)
    run_retraining(config, dataset, workdir)
    write_result(config, dataset, workdir, versions)


def report(workdir: Workdir) -> None:
    """Writes `report/`, or says why it can't be written."""
    # Matplotlib takes a while to import.
    from ifnas_jax.report.write import attempt_report

    attempt_report(workdir)


def count_skipped(dataset) -> int:
    """Images, over all processes, that this start met and could not decode."""
    from ifnas_jax.runtime import distributed

    parts = (dataset.train, dataset.valid, dataset.test)
    return distributed.total(sum(len(part.skipped) for part in parts))
