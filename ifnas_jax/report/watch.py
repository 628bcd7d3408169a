"""Keeps `report/index.html` new while a run goes on: in the background, and seldom."""

import concurrent.futures
import sys
import threading
import time
from collections.abc import Callable

from absl import logging

# Matplotlib draws for one thread at a time, and pages of several runs may be due.
DRAWING = threading.Lock()

_INTERVAL = 30.0  # seconds between pages, at least
_SHARE = 0.03  # of the time at most goes into pages


class Watch:
    """Writes the page of a run every half minute at most; close it when done.

    A page that can't be written is said, and the run goes on.
    """

    def __init__(
        self,
        write: Callable[[], object],
        clock: Callable[[], float] = time.monotonic,
    ):
        """The first page is due at once.

        Args:
          write: writes the page.
          clock: seconds.
        """
        self._write_page = write
        self._clock = clock
        self._due = clock()
        # A thread of its own: the loop does not wait for matplotlib.
        self._executor = concurrent.futures.ThreadPoolExecutor(
            max_workers=1, thread_name_prefix="page"
        )
        self._task: concurrent.futures.Future | None = None

    def update(self) -> None:
        """Writes the page if it is due; returns at once."""
        now = self._clock()
        if now < self._due or (self._task and not self._task.done()):
            return
        self._report_failure()
        self._due = now + _INTERVAL
        self._task = self._executor.submit(self._write, now)

    def close(self) -> None:
        """Waits for a page that is being written.

        Where an exception ends the job it writes a last one; else what comes next will.
        """
        if sys.exc_info()[0] is not None:
            self._task = self._executor.submit(self._write, self._clock())
        self._executor.shutdown(wait=True)
        self._report_failure()

    def _write(self, start: float) -> None:
        with DRAWING:
            self._write_page()
        # `update` reads it when this is done.
        self._due = start + max(_INTERVAL, (self._clock() - start) / _SHARE)

    def _report_failure(self) -> None:
        error = self._task and self._task.exception()
        self._task = None
        if error:
            logging.warning("report/index.html can't be written (%s).", error)
