"""The figures of a run, as files."""

import os
from collections.abc import Iterator

from matplotlib.figure import Figure

from ifnas_jax import storage
from ifnas_jax.report import curves, drawing, files, gates
from ifnas_jax.report.run import Run


def write_figures(run: Run) -> list[str]:
    """Draws all that a run has data for, as SVG and PNG under `report/`.

    A run in progress lacks some files or has begun them only; what can't be drawn
    yet is left out.

    Returns:
      Names of the figures that were written, of `architecture`, `gates`, `cost` and
      `training`.
    """
    written = []
    for name, figure in _figures(run):
        storage.make_folder(run.workdir.report)
        files.save_figure(figure, os.path.join(run.workdir.report, name))
        written.append(name)
    return written


def _figures(run: Run) -> Iterator[tuple[str, Figure]]:
    if run.found is not None:
        yield "architecture", drawing.draw_architecture(run.found)
    if run.gates:
        yield "gates", gates.draw_gates(run.gates)
    if run.search:
        target = run.config["target_madds"]
        yield "cost", curves.draw_cost(run.search, run.prunings, target)
    if run.search or run.retrain:
        yield "training", curves.draw_training(run.search, run.retrain)
