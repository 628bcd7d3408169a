"""SIGTERM, as a machine that is taken away sends it: to save, and to leave."""

import itertools
import signal
import threading

import jax
from jax.experimental import multihost_utils

_came = False  # a SIGTERM, to a process that is alone
_asked = itertools.count()  # times that `came` was asked


def catch() -> None:
    """From now on `came` says whether SIGTERM came.

    With several processes JAX catches it, and makes them agree on a step.
    """

    def note(*unused):
        global _came
        _came = True

    # Python catches signals in the first thread only; a server's may be another.
    first = threading.current_thread() is threading.main_thread()
    if jax.process_count() == 1 and first:
        signal.signal(signal.SIGTERM, note)


def came() -> bool:
    """Whether to save and leave now; every process asks after every step."""
    if jax.process_count() == 1:
        return _came
    # JAX chooses a number that no process has come to yet; so numbers never repeat,
    # over all jobs of a run.
    return multihost_utils.reached_preemption_sync_point(next(_asked))


def forget() -> None:
    """One that came to a run that is over is not meant for the next one."""
    global _came
    _came = False
