"""What is in `report/`, written when a run ends, or again after that."""

import os
import shlex

from absl import logging

from ifnas_jax.errors import InputError, describe
from ifnas_jax.report.figures import write_figures
from ifnas_jax.report.page import write_page
from ifnas_jax.report.run import read_run
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
    run = read_run(workdir)
    write_figures(run)
    return write_page(run)


def attempt_report(workdir: Workdir) -> None:
    """`write_report` of a run that is done, which a failure costs nothing but itself.

    A report that can't be drawn or written is said.
    """
    try:
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
