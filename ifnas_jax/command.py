"""What all command lines share: help, how they end, what becomes of their output."""

import argparse
import errno
import functools
import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, TextIO

from ifnas_jax.errors import (
    DivergedError,
    InputError,
    PreemptedError,
    StorageError,
)

# What a shell says of a command after Ctrl-C, and of one whose reader went away.
_INTERRUPTED, _UNREAD = 130, 141

# What a signal raises.
_RAISED = {KeyboardInterrupt: signal.SIGINT, PreemptedError: signal.SIGTERM}


def make_parser(module: str, docstring: str) -> argparse.ArgumentParser:
    """A parser whose help is a module's docstring: first its summary, then the rest."""
    description, _, usage = docstring.partition("\n\n")
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        epilog=usage,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def run(name: str, main: Callable[[], int], answers: bool = True) -> int:
    """Runs a command, which nothing that becomes of what it prints stops.

    A reader may go away, a disk be full, an encoding lack a character: what can't be
    printed is dropped, and the command does what else there is to do.

    Args:
      name: of the command, for what is said of it.
      main: returns its exit code.
      answers: whether the command is there for what it prints on stdout, so that it
        fails if that can't be written.

    Returns:
      The exit code of `main`; 130 after Ctrl-C. Of a command that answers, 141 if
      nobody reads on, as `head` does, and 4 if its output can't be written.
    """
    hook = sys.unraisablehook
    sys.unraisablehook = functools.partial(_repeat_signal, hook)
    printed, sys.stdout = _printing(sys.stdout)
    _, sys.stderr = _printing(sys.stderr)
    try:
        code = main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        _say(f"{name}: interrupted; the same command starts again.")
        return _INTERRUPTED
    finally:
        # From here on Python only leaves, where Ctrl-C would be a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        sys.unraisablehook = hook
    if code or not answers or printed.error is None:
        return code
    if isinstance(printed.error, BrokenPipeError):
        return _UNREAD
    _say(f"{name}: stdout can't be written ({printed.error.strerror}); mend that.")
    return 4


# What a command reports in one sentence; of any other in using files 4.
ERRORS = (InputError, DivergedError, StorageError, OSError)
_CODES = ((InputError, 2), (DivergedError, 3))


def failed(name: str, error: Exception, path: str) -> int:
    """Says why a command failed.

    Args:
      name: of the command.
      error: one of `ERRORS`.
      path: what was asked for, if an error of the system names no file.

    Returns:
      Its exit code.
    """
    words = _unusable(error, path) if isinstance(error, OSError) else str(error)
    print(f"{name}: {words}", file=sys.stderr)
    return next((code for kind, code in _CODES if isinstance(error, kind)), 4)


def _unusable(error: OSError, path: str) -> str:
    where = error.filename or path
    return (
        f"{os.fsdecode(where)!r} can't be read or written "
        f"({error.strerror or error}); mend that, and give the command again."
    )


def _repeat_signal(report: Callable, unraisable: Any) -> None:
    """Sends a signal again whose exception was dropped.

    It may come in JAX's callback of the garbage collection, out of which nothing
    is raised.
    """
    for kind, number in _RAISED.items():
        if issubclass(unraisable.exc_type, kind):
            # When the callback is through.
            again = threading.Timer(0.1, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()
            return
    report(unraisable)


class _Printed(io.FileIO):
    """A file that writes all it is given, drops what it can't, and keeps the error.

    So a text file may stand on it with nothing between: a `BufferedWriter` would write
    a line again where Ctrl-C comes when it has just been written.
    """

    error: OSError | None = None

    def write(self, content) -> int:
        left = memoryview(content)
        try:
            while left:
                written = super().write(left)
                if written is None:
                    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
                left = left[written:]
        except OSError as error:
            self.error = error
        return len(content)


def _printing(stream: TextIO | None) -> tuple[_Printed, TextIO]:
    """What takes the place of stdout or stderr; None is one that was closed."""
    encoding, at_once, unbuffered = "utf-8", False, False
    if stream is None:
        # Its number is free, and no file of ours shall get it.
        descriptor = os.open(os.devnull, os.O_WRONLY)
    else:
        stream.flush()
        descriptor, encoding = stream.fileno(), stream.encoding
        at_once, unbuffered = stream.line_buffering, stream.write_through
    printed = _Printed(descriptor, "w", closefd=False)
    text = io.TextIOWrapper(
        printed,
        encoding=encoding,
        errors="backslashreplace",
        line_buffering=at_once,
        write_through=unbuffered,
    )
    return printed, text


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
