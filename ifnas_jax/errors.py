"""The error that a person can mend."""


class InputError(ValueError):
    """Bad input: one sentence that names the field, the value and the mend.

    The command line prints its message without a traceback and exits with 2.
    """
