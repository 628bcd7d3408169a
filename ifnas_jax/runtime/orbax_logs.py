"""What Orbax, and asyncio for it, print of errors that are raised to us as well."""

import logging
import os
import sys
from collections.abc import Callable
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


def _report_unraisable(unraisable: Any, report: Callable = sys.unraisablehook) -> None:
    """Not what TensorStore, writing on, meets after another array could not be written.

    Orbax does not wait for the other arrays then, and raises the error to us.
    """
    if str(unraisable.exc_value) != "Event loop is closed" or unraisable.object:
        report(unraisable)


def keep_quiet() -> None:
    """Leaves the errors to who gets them."""
    absl_logging.get_absl_logger().addFilter(_is_news)
    logging.getLogger("asyncio").addFilter(_is_news)
    sys.unraisablehook = _report_unraisable
