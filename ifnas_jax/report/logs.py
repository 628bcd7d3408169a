"""What jobs write as they go: metrics, gates, removals, TensorBoard events.

Logs are cut back to the step at which a run goes on. Nothing in them depends on the
clock, so equal runs leave equal bytes. Processes other than the first write nothing.
"""

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from ifnas_jax import files, storage
from ifnas_jax.architecture import Architecture
from ifnas_jax.architecture.masks import Kept
from ifnas_jax.errors import InputError
from ifnas_jax.methods.interface import Gates
from ifnas_jax.methods.removal import Removal
from ifnas_jax.report.events import Events
from ifnas_jax.report.watch import Watch
from ifnas_jax.run import result
from ifnas_jax.run.workdir import JobFiles
from ifnas_jax.runtime import distributed

Row = Mapping[str, Any]


class MetricsLog:
    """`metrics.jsonl` of a job, TensorBoard events beside it, and the run's page."""

    def __init__(
        self,
        ours: JobFiles,
        step: int,
        tensorboard: bool,
        gates: Sequence[Row] = (),
        page: bool = True,
    ):
        """Opens the log.

        Args:
          ours: files of the job.
          step: to which the log is cut back.
          tensorboard: whether events are written.
          gates: rows of such that are kept, for the events.
          page: whether the run's page is kept new.
        """
        self._primary = distributed.is_primary()
        self.events: Events | None = None
        self._page: Watch | None = None
        self.rows: list[dict[str, Any]] = []  # those kept and those written
        if self._primary:
            storage.make_folder(ours.directory)
            self._path = ours.metrics
            self._file = files.RowLog(self._path, step)
            self.rows = list(self._file.kept)
            if tensorboard:
                self.events = Events(ours.directory, self._file.kept, gates)
            self._page = Watch(functools.partial(_write_page, ours)) if page else None

    def begin(self) -> None:
        """Writes the page, of what the job before left."""
        if self._page:
            self._page.update()

    def expect(self, step: int) -> None:
        """Says so if rows are missing: a row of `step` was once written.

        A mounted bucket can lose the end of a log and keep the checkpoint after it.
        """
        last = self.rows[-1]["step"] if self.rows else 0
        if self._primary and last < step:
            logging.warning(
                "%s lacks the rows after step %d up to step %d, where the checkpoint "
                "goes on: they were lost, or removed. The run is not affected.",
                self._path,
                last,
                step,
            )

    def write(self, row: Mapping[str, Any]) -> None:
        """Appends a row, which has a "step"."""
        if not self._primary:
            return
        self.rows.append(dict(row))
        self._file.write(row)
        if self.events:
            self.events.write(row)
        if self._page:
            self._page.update()

    def sync(self) -> None:
        """Returns when the rows are on the disk: a checkpoint follows."""
        if self._primary:
            self._file.sync()

    def close(self) -> None:
        """Waits until all is written."""
        if self._primary:
            self._file.close()
        if self._page:
            self._page.close()
        if self.events:
            self.events.close()


def _write_page(ours: JobFiles) -> None:
    # Here, since matplotlib takes a while to import.
    from ifnas_jax.report.page import write_page
    from ifnas_jax.report.run import read_run

    machine = {"versions": result.versions(), "devices": distributed.describe_devices()}
    write_page(read_run(os.path.dirname(ours.directory)), machine)


def progress_fields(row: Row) -> dict[str, str]:
    """What the progress line shows of a row of a search's metrics."""
    valid, millions = row.get("valid_accuracy"), row["madds"] / 1e6
    return {
        "phase": row["phase"],
        "group": f"group {row['group']}" if row["group"] else "whole",
        "loss": f"loss {row['loss']:.3f}",
        "accuracy": f"acc {100 * row['accuracy']:.1f}%",
        "valid": "" if valid is None else f"valid {100 * valid:.1f}%",
        "edges": f"edges {row['edges']}",
        "madds": f"{millions:.{1 if millions < 1000 else 0}f}M MAdds",
    }


class SearchLogs:
    """The logs under `search/`."""

    def __init__(self, ours: JobFiles, step: int, tensorboard: bool, page: bool = True):
        """As `MetricsLog`."""
        self.newest: Row | None = None  # of this start's rows of metrics
        self._primary = distributed.is_primary()
        gates: Sequence[Row] = ()
        if self._primary:
            storage.make_folder(ours.directory)
            self._gates = files.RowLog(ours.gates, step)
            # The derivation's removals are made again whenever it is.
            self._removals = files.RowLog(
                ours.prunings,
                step,
                keep=lambda row: not row.get("final"),
            )
            gates = self._gates.kept
        self._metrics = MetricsLog(ours, step, tensorboard, gates, page)

    def expect(self, step: int) -> None:
        """As that of `MetricsLog`."""
        self._metrics.expect(step)

    def write(self, row: Mapping[str, Any]) -> None:
        """A row of metrics.jsonl."""
        self.newest = row
        self._metrics.write(row)

    @property
    def progress(self) -> dict[str, str]:
        """Fields of the progress line."""
        return progress_fields(self.newest) if self.newest else {}

    def write_gates(self, step: int, gates: Gates, kept: Kept) -> None:
        """A row of gates.jsonl: of edges and operators, null where nothing survives."""
        if self._primary:
            edges = [stage.any(axis=2) for stage in kept]
            row = {
                "step": step,
                "beta": [_masked(*x) for x in zip(gates.beta, edges, strict=True)],
                "alpha": [_masked(*x) for x in zip(gates.alpha, kept, strict=True)],
            }
            self._gates.write(row)
            if self._metrics.events:
                self._metrics.events.write_gates(row)

    def write_removals(
        self, step: int, removals: Sequence[Removal], final: bool = False
    ) -> None:
        """Rows of prunings.jsonl, in the order of the removals.

        Args:
          step: after which they were removed.
          removals: what was removed.
          final: by the derivation, after the last checkpoint's step.
        """
        if self._primary:
            for removal in removals:
                row = {"step": step, **removal._asdict()}
                self._removals.write(row | ({"final": True} if final else {}))

    def write_architecture(self, step: int, architecture: Architecture) -> None:
        """An image of the network that was found, among the events."""
        if self._metrics.events:
            self._metrics.events.write_architecture(step, architecture)

    def sync(self) -> None:
        """Returns when the rows are on the disk: a checkpoint follows."""
        self._metrics.sync()
        if self._primary:
            self._gates.sync()
            self._removals.sync()

    def close(self) -> None:
        """Waits until all is written."""
        if self._primary:
            self._gates.close()
            self._removals.close()
        self._metrics.close()


class CandidateLog:
    """`search/candidates.jsonl`: what each drawn architecture's accuracy is."""

    def __init__(self, path: str):
        rows = distributed.from_primary(lambda: _read_candidates(path))
        self._file = None
        if distributed.is_primary():
            self._file = files.RowLog(path, len(rows))
        # By index, those of earlier starts too.
        self.accuracies: list[float] = [row["valid_accuracy"] for row in rows]

    def write(self, index: int, accuracy: float) -> None:
        """Appends a candidate."""
        self.accuracies.append(accuracy)
        if self._file:
            self._file.write({"step": index, "valid_accuracy": accuracy})
            self._file.sync()

    def close(self) -> None:
        """Waits until all is written."""
        if self._file:
            self._file.close()


def _masked(values: np.ndarray, on: np.ndarray) -> list:
    """Nested lists of values with four decimals, None where not on."""
    return np.where(on, np.round(values, 4), None).tolist()


def _read_candidates(path: str) -> list[dict[str, Any]]:
    """The rows of `candidates.jsonl`, by index.

    Raises:
      InputError: it is damaged.
    """
    rows = files.read_rows(path, {"valid_accuracy": float})
    for index, row in enumerate(rows):
        if row["step"] != index:
            raise InputError(
                f"{path!r} is damaged: its row {index} has 'step' {row['step']}; "
                "restore it, or remove it to evaluate all candidates again."
            )
    return rows
