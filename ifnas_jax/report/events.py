"""TensorBoard events, written by clu in the background.

TensorFlow, which clu needs, takes ten seconds to import; a worker thread imports it
while the job runs.
"""

import collections
import concurrent.futures
import numbers
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ifnas_jax import storage
from ifnas_jax.architecture import Architecture
from ifnas_jax.errors import StorageError

Row = Mapping[str, Any]


class Events:
    """Writes scalars, histograms of gates and an architecture as TensorBoard events.

    A run that is resumed starts its events anew, from the rows it kept, so that no
    step is there twice. Nothing happens before the first `write`, so that TensorFlow's
    import stays off the way to the first step. A worker's exception is raised by
    `close`.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        rows: Iterable[Row] = (),
        gates: Iterable[Row] = (),
    ):
        """Events in a folder.

        Args:
          directory: the folder, whose old events are removed.
          rows: of metrics that are kept.
          gates: rows of gates that are kept.
        """
        self._directory = os.fspath(directory)
        self._kept = list(rows), list(gates)
        self._started = False
        # One worker: rows are written in order.
        self._executor = concurrent.futures.ThreadPoolExecutor(
            max_workers=1, thread_name_prefix="events"
        )
        self._unchecked: collections.deque[concurrent.futures.Future] = (
            collections.deque()
        )
        self._writer: Any = None  # a clu SummaryWriter, of the worker alone
        self._file_errors: tuple = (OSError,)  # and TensorFlow's own, once it is there

    def write(self, row: Row) -> None:
        """Writes the numbers of a row, which holds its "step"; returns at once."""
        self._begin()
        self._submit(self._write, dict(row))

    def write_gates(self, row: Row) -> None:
        """Writes histograms of a row of gates; returns at once."""
        self._begin()
        self._submit(self._write_gates, dict(row))

    def write_architecture(self, step: int, architecture: Architecture) -> None:
        """Writes an image of a network; returns at once."""
        self._begin()
        self._submit(self._write_architecture, step, architecture)

    def _begin(self) -> None:
        if not self._started:
            self._started = True
            self._submit(self._open)

    def close(self) -> None:
        """Waits until everything is written.

        Raises:
          StorageError: the worker could not write.
        """
        self._submit(self._close)
        self._executor.shutdown(wait=True)
        for future in self._unchecked:
            future.result()

    def _submit(self, function, *args) -> None:
        while self._unchecked and self._unchecked[0].done():
            if self._unchecked[0].exception():
                return  # What follows a failure can't be written; `close` raises it.
            self._unchecked.popleft()
        self._unchecked.append(self._executor.submit(self._work, function, args))

    def _work(self, function, args) -> None:
        """A task of the worker."""
        try:
            function(*args)
        except self._file_errors as error:
            reason = " ".join(str(error).split())
            raise StorageError(
                f"TensorBoard events in {self._directory} can't be written ({reason}); "
                "mend that, and the same command goes on at the last checkpoint."
            ) from error

    def _open(self) -> None:
        import tensorflow as tf
        from clu.metric_writers import summary_writer

        self._file_errors = (OSError, tf.errors.OpError)

        for name in storage.names_in(self._directory):
            if name.startswith("events.out.tfevents"):
                storage.remove(os.path.join(self._directory, name))
        self._writer = summary_writer.SummaryWriter(self._directory)
        rows, gates = self._kept
        for row in rows:
            self._write(row)
        for row in gates:
            self._write_gates(row)
        self._writer.flush()

    def _write(self, row: Row) -> None:
        scalars = {
            key: value
            for key, value in row.items()
            if key != "step"
            and isinstance(value, numbers.Real)
            and not isinstance(value, bool)
        }
        self._writer.write_scalars(row["step"], scalars)

    def _write_gates(self, row: Row) -> None:
        """A histogram of each stage's surviving gates, of edges and of operators."""
        arrays = {}
        for kind in ("beta", "alpha"):
            for number, stage in enumerate(row[kind], start=1):
                values = np.array(stage, float)
                arrays[f"gates/{kind}/{number}"] = values[~np.isnan(values)]
        self._writer.write_histograms(row["step"], arrays)

    def _write_architecture(self, step: int, architecture: Architecture) -> None:
        # Here, since matplotlib takes a while to import.
        from ifnas_jax.report import drawing, files

        image = files.pixels(drawing.draw_architecture(architecture))
        self._writer.write_images(step, {"architecture": image})

    def _close(self) -> None:
        if self._writer is not None:  # It was started, and did not fail.
            self._writer.close()
