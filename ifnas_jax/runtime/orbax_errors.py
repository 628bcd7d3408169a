"""What Orbax, and asyncio for it, print of errors that come to us, and say in them."""

import contextlib
import functools
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

from absl import logging as absl_logging


def _is_news(record: Any) -> bool:
    """Not the tracebacks that Orbax, or asyncio for it, logs of what comes to us."""
    if not record.exc_info:
        return True
    paths, trace = [record.pathname], record.exc_info[2]
    while trace:
        paths.append(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    return not any(f"{os.sep}orbax{os.sep}" in path for path in paths)


def _report_unraisable(report: Callable, unraisable: Any) -> None:
    """Not what TensorStore, writing on, meets after another array could not be written.

    Orbax does not wait for the other arrays then, and raises the error to us.
    """
    if str(unraisable.exc_value) != "Event loop is closed" or unraisable.object:
        report(unraisable)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Leaves the errors to who gets them, as long as it lasts."""
    loggers = absl_logging.get_absl_logger(), logging.getLogger("asyncio")
    before = sys.unraisablehook
    for logger in loggers:
        logger.addFilter(_is_news)
    sys.unraisablehook = functools.partial(_report_unraisable, before)
    try:
        yield
    finally:
        sys.unraisablehook = before
        for logger in loggers:
            logger.removeFilter(_is_news)


def system_error(error: Exception) -> OSError | None:
    """What the system said, also where TensorStore tells it in a ValueError."""
    if isinstance(error, OSError):
        return error
    code = re.search(r"os_error_code='(\d+)'", str(error))
    return OSError(int(code[1]), os.strerror(int(code[1]))) if code else None


def reason(error: Exception) -> str:
    """Why, in a short line."""
    cause = system_error(error)
    return ((cause and cause.strerror) or " ".join(str(error).split()))[:200]
