"""What is in `report/`, written when a run ends, or again after that."""

import os

from ifnas_jax.report.figures import write_figures
from ifnas_jax.report.page import write_page
from ifnas_jax.report.run import read_run


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
