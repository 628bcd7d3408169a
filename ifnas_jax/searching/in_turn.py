"""Searches that differ in the seed alone, one after the other, compiled once.

For CPUs, where side by side they would take longer. Each ends with the bytes of a run
that is alone.
"""

from collections.abc import Callable, Sequence

from ifnas_jax import training
from ifnas_jax.data.source import Dataset
from ifnas_jax.errors import FAILURES
from ifnas_jax.run.workdir import Workdir
from ifnas_jax.searching.job import search
from ifnas_jax.searching.step import Search, compile_steps


def search_in_turn(
    jobs: Sequence[Search],
    dataset: Dataset,
    workdirs: Sequence[Workdir],
    after: Callable[[], None] = lambda: None,
) -> dict[int, Exception]:
    """Searches one after the other, compiling once.

    Args:
      jobs: the searches; they differ in the seed.
      dataset: as for `search`.
      workdirs: of their runs.
      after: is called when another one is done.

    Returns:
      Why a search failed, by its number.
    """
    failed: dict[int, Exception] = {}
    made: list[training.Steps] = []

    def compile_once(*arguments) -> tuple[training.Steps, float]:
        seconds = 0.0
        if not made:
            steps, seconds = compile_steps(*arguments)
            made.append(steps)
        return made[0], seconds

    for number, (job, workdir) in enumerate(zip(jobs, workdirs, strict=True)):
        name = f"search, seed {job.config.seed}"
        try:
            search(job, dataset, workdir, compile_once, name)
        except FAILURES as error:
            failed[number] = error
        after()
    return failed
