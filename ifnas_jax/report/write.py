"""What is in `report/`, written when a run ends, or again after that."""

import os
import shlex

from absl import logging

from ifnas_jax import files, storage
from ifnas_jax.errors import InputError, describe
from ifnas_jax.report.figures import write_figures
from ifnas_jax.report.page import write_page
from ifnas_jax.report.run import read_run
from ifnas_jax.report.watch import DRAWING
from ifnas_jax.run import population
from ifnas_jax.run.workdir import Workdir


def write_report(workdir: str | os.PathLike) -> str:
    """Writes the figures of a workdir, and the page.

    Args:
      workdir: of a run, finished or not.

    Returns:
      The path of the page.

    Raises:
      InputError: it is the folder of no run, or a file in it is damaged.
      OSError: something can't be written.
    """
    place = Workdir(workdir)
    seeds = population.workdirs_of(place)
    if seeds:
        return _write_population(place, len(seeds))
    run = read_run(workdir)
    write_figures(run)
    return write_page(run)


def _write_population(workdir: Workdir, seeds: int) -> str:
    """The page of many seeds.

    Raises:
      InputError: nothing of them is there yet.
    """
    from ifnas_jax.report.population_page import write_population_page

    failed = {}
    if storage.exists(workdir.summary):
        rows = files.read_json(workdir.summary, {"failed": list})["failed"]
        failed = {row["seed"]: row["why"] for row in rows}
    page = write_population_page(workdir, failed, seeds)
    if page is None:
        raise InputError(f"{workdir!r} has no run of a seed yet.")
    return page


def attempt_report(workdir: Workdir) -> None:
    """`write_report` of a run that is done, which a failure costs nothing but itself.

    A report that can't be drawn or written is said.
    """
    try:
        with DRAWING:
            write_report(workdir)
    except Exception as error:  # Whatever it is: the run is done.
        logging.warning(
            "report/ can't be written (%s); the run is done: mend that, and write it "
            "by python -m ifnas_jax.report --workdir=%s.",
            describe(error),
            shlex.quote(workdir.path),
            # A mistake of ours is to be seen.
            exc_info=not isinstance(error, (OSError, InputError)),
        )
