"""TensorBoard events, written by clu in the background.

TensorFlow, which clu needs, takes ten seconds to import; a worker thread imports it
while the job runs.
"""

import collections
import concurrent.futures
import glob
import numbers
import os
from collections.abc import Iterable, Mapping
from typing import Any

from ifnas_jax.errors import StorageError


class Events:
    """Writes the scalars of metrics rows as TensorBoard events.

    A run that is resumed starts its events anew, from the rows it kept, so that no
    step is there twice. A worker's exception is raised by `close`.
    """

    def __init__(self, directory: str | os.PathLike):
        self._directory = os.fspath(directory)
        # One worker: rows are written in order.
        self._executor = concurrent.futures.ThreadPoolExecutor(
            max_workers=1, thread_name_prefix="events"
        )
        self._unchecked: collections.deque[concurrent.futures.Future] = (
            collections.deque()
        )
        self._writer: Any = None  # a clu SummaryWriter, of the worker alone
        self._file_errors: tuple = (OSError,)  # and TensorFlow's own, once it is there

    def start(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        """Removes old events and writes `rows`; returns at once."""
        self._submit(self._open, list(rows))

    def write(self, row: Mapping[str, Any]) -> None:
        """Writes the numbers of a row, which holds its "step"; returns at once."""
        self._submit(self._write, dict(row))

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

    def _open(self, rows: Iterable[Mapping[str, Any]]) -> None:
        import tensorflow as tf
        from clu.metric_writers import summary_writer

        self._file_errors = (OSError, tf.errors.OpError)

        pattern = os.path.join(glob.escape(self._directory), "events.out.tfevents*")
        for path in glob.glob(pattern):
            os.remove(path)
        self._writer = summary_writer.SummaryWriter(self._directory)
        for row in rows:
            self._write(row)
        self._writer.flush()

    def _write(self, row: Mapping[str, Any]) -> None:
        scalars = {
            key: value
            for key, value in row.items()
            if key != "step"
            and isinstance(value, numbers.Real)
            and not isinstance(value, bool)
        }
        self._writer.write_scalars(row["step"], scalars)

    def _close(self) -> None:
        if self._writer is not None:  # It was started, and did not fail.
            self._writer.close()
