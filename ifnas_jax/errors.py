"""Errors that the command line reports in one sentence, without a traceback."""

import textwrap


class InputError(ValueError):
    """Bad input: one sentence that names the field, the value and the mend.

    The command line exits with 2.
    """


class ChangedError(InputError):
    """The data of a run is there, and is not what the run began with.

    The command line exits with 2: nothing that passes by itself.
    """


class UnmetError(InputError):
    """What a search has found, or draws, can't meet its target; another seed's may."""


class DivergedError(ArithmeticError):
    """Training met a loss that is not finite. The command line exits with 3."""


class StorageError(RuntimeError):
    """The workdir or the data can't be read or written any more: one sentence.

    The command line exits with 4.
    """


# What ends the run of one seed, where there are many, and none of the others.
FAILURES = (DivergedError, UnmetError)


class PreemptedError(BaseException):
    """SIGTERM came, and a checkpoint is saved. The command line exits with 75.

    Like KeyboardInterrupt it comes out of any code, and is no `Exception`.
    """


def describe(error: BaseException) -> str:
    """The type and the message of any error, in a short line."""
    message = textwrap.shorten(str(error), 200)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
