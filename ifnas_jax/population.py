"""The runs of many seeds in one workdir: their searches, retrainings and results.

Each seed has the workdir of a run that is alone, `seed-N/`. What ends one of them ends
none of the others; what they come to together is in `summary.json` and on one page.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax import files, jobs
from ifnas_jax.errors import FAILURES
from ifnas_jax.run import begin, result
from ifnas_jax.run.lock import Lock
from ifnas_jax.run.workdir import Workdir


class SeedRun(NamedTuple):
    """The run of one seed.

    Attributes:
      config: as if it were alone.
      workdir: of it.
      job: its search (`searching.step.Search`), or None if that is not asked for.
    """

    config: ConfigDict
    workdir: Workdir
    job: Any

    @property
    def seed(self) -> int:
        """Its seed."""
        return self.config.seed


def run_all(
    config: ConfigDict,
    dataset,
    workdir: Workdir,
    versions: Mapping[str, str],
    claim: Callable[[], None],
) -> None:
    """Searches with all seeds, and retrains what each of them has found.

    Networks are retrained one after the other: each is another program.

    Args:
      config: resolved, of all seeds.
      dataset: opened.
      workdir: of all seeds.
      versions: of `result.versions`.
      claim: takes the workdir; called by the first process, when nothing is refused
        any more.

    Raises:
      DivergedError, UnmetError: of the first seed that failed, when all others are
        done.
    """
    from ifnas_jax.report.watch import Watch
    from ifnas_jax.runtime import distributed

    runs = distributed.together(lambda: _make_runs(config, dataset, workdir))
    failed: dict[int, Exception] = {}
    with ExitStack() as stack:

        def claim_all():
            stored = [begin.check_seed(run.config, run.workdir) for run in runs]
            claim()
            _claim(runs, stored, stack)

        distributed.from_primary(claim_all)
        primary = distributed.is_primary()
        after = lambda: None  # noqa: E731
        if primary:
            page = Watch(lambda: _write_page(workdir, failed, len(runs)))
            after = stack.enter_context(closing(page)).update
        if "search" in config.jobs:
            failed |= _search(config, runs, dataset, after)
        for run in runs:
            if run.seed not in failed and not _is_done(run):
                try:
                    _finish(run, dataset, versions)
                except FAILURES as error:
                    failed[run.seed] = error
                after()
    if primary:
        _write_summary(workdir, failed)
    if failed:
        seed, error = next(iter(failed.items()))
        raise type(error)(
            f"{len(failed)} of {len(runs)} seeds have no result, the others are done; "
            f"seed {seed}: {error}"
        )


def _make_runs(config: ConfigDict, dataset, workdir: Workdir) -> list[SeedRun]:
    """The runs of all seeds.

    Raises:
      InputError: a job can't be run.
    """
    runs = []
    for own in config_lib.of_seeds(config):
        place = workdir.of_seed(own.seed)
        runs.append(SeedRun(own, place, jobs.make_search(own, dataset, place)))
    return runs


def _claim(
    runs: Sequence[SeedRun], stored: Sequence[dict | None], stack: ExitStack
) -> None:
    """Takes the workdir of each run, which holds a config, until the stack is closed.

    Raises:
      InputError: another run has one, or one is of another config.
      StorageError: one can't be written any more.
    """

    def take(run: SeedRun, own: dict | None) -> None:
        lock = Lock(run.workdir)
        stack.callback(lock.release)
        begin.claim(run.config, run.workdir, own, lock)

    # At once: each may have to wait whether a process lives.
    with ThreadPoolExecutor(len(runs)) as pool:
        list(pool.map(take, runs, stored))


def _finish(run: SeedRun, dataset, versions: Mapping[str, str]) -> None:
    """Retrains what a seed has found, if that is asked for, and writes its result."""
    name = f"retrain, seed {run.seed}"
    jobs.run_retraining(run.config, dataset, run.workdir, name)
    jobs.write_result(run.config, dataset, run.workdir, versions)


def _search(config, runs, dataset, after) -> dict[int, Exception]:
    """Why a search failed, by its seed."""
    from ifnas_jax.runtime.devices import memory_errors
    from ifnas_jax.searching.in_turn import search_in_turn
    from ifnas_jax.searching.together import search_together

    together = config.lanes == "together" and runs[0].job.method.trains
    way = search_together if together else search_in_turn
    with memory_errors(config, "search"):
        failed = way(
            [run.job for run in runs], dataset, [run.workdir for run in runs], after
        )
    return {runs[number].seed: error for number, error in failed.items()}


def _is_done(run: SeedRun) -> bool:
    from ifnas_jax.runtime import distributed

    return distributed.from_primary(
        lambda: result.covers(result.read(run.workdir), run.config.jobs)
    )


def _write_page(workdir: Workdir, failed: Mapping[int, Exception], seeds: int) -> None:
    from ifnas_jax.report.population_page import write_population_page

    reasons = {seed: str(error) for seed, error in failed.items()}
    write_population_page(workdir, reasons, seeds)


def _write_summary(workdir: Workdir, failed: Mapping[int, Exception]) -> None:
    """Writes the summary, which says that all is done, and the page."""
    from ifnas_jax.report.population import write_summary

    write_summary(workdir, {seed: str(error) for seed, error in failed.items()})
    jobs.report(workdir)


def show(workdir: Workdir, state: str) -> None:
    """The summary in a few lines."""
    from ifnas_jax.report.population import describe_agreement, table_of
    from ifnas_jax.report.tables import aligned

    summary: dict[str, Any] = files.read_json(workdir.summary)
    print(f"{workdir} {state}:\n")
    print("\n".join(f"  {line}" for line in aligned(table_of(summary))))
    print(f"\n  {describe_agreement(summary)}\n  report   {workdir.page}")
