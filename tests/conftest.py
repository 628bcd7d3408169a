"""What tests share: the embedded digits, prepared once, and a run of seconds."""

import fcntl
import os
import pathlib
import shutil
import signal
import tempfile

import pytest
from commands import finish, start
from skips import (  # noqa: F401  (hooks)
    pytest_make_collect_report,
    pytest_runtest_makereport,
)
from tiny import TINY

from ifnas_jax.runtime import tpu

# The tests install libtpu, for preflight.
tpu.keep_quiet()

CACHE = "JAX_COMPILATION_CACHE_DIR"
# JAX keeps what took a second; the many small programs of a run take long together.
LEAST = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
LCHAIN4 = pathlib.Path(__file__).parents[1] / "configs" / "lchain4.py"


def pytest_configure(config):
    """What several tests compile is compiled once, by workers and runs alike."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As in the background of a script: what tests start would not hear Ctrl-C.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if CACHE not in os.environ:
        config.compiled = tempfile.TemporaryDirectory()
        os.environ[CACHE] = config.compiled.name
        os.environ.setdefault(LEAST, "0")


def pytest_unconfigure(config):
    """Only the process that made the cache removes it, when all others are gone."""
    if hasattr(config, "compiled"):
        config.compiled.cleanup()


@pytest.fixture(scope="module")
def compiles_soon():
    """JAX leaves most optimizations out, here and in the processes that are started.

    For files that compile for a few steps each, and compare only what was compiled
    alike. Never together with `finished`, which is compared with runs of other files.
    """
    # JAX is imported when the cache is known: it reads that then.
    import jax

    name = "jax_disable_most_optimizations"
    before = jax.config.read(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name.upper(), "1")
        jax.config.update(name, True)
        yield
        jax.config.update(name, before)
        # What was compiled so is for nobody else.
        jax.clear_caches()


@pytest.fixture(autouse=True)
def draws_nothing(monkeypatch):
    """A run that a test makes in this process writes no report of its own accord.

    Drawing takes as long as training such a run, and what can't be drawn never ends
    one. Runs of fixtures do, those of processes of their own, and many seeds their
    common page.
    """
    monkeypatch.setattr("ifnas_jax.jobs.report", lambda workdir: None)
    monkeypatch.setattr("ifnas_jax.report.logs._write_page", lambda ours: None)


@pytest.fixture(scope="session")
def once(tmp_path_factory, worker_id):
    """A function: the folder of a name, which the first worker to ask for it fills.

    Others wait until it is filled; then nobody may write to it.
    """
    base = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        base = base.parent  # a worker's own is in that of all

    def once(name, fill):
        path, filled = base / "once" / name, base / "once" / f"{name}.filled"
        path.parent.mkdir(exist_ok=True)
        # Of a worker that dies, the system takes the lock.
        with open(base / "once" / f"{name}.lock", "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not filled.exists():
                shutil.rmtree(path, ignore_errors=True)
                path.mkdir()
                fill(path)
                filled.touch()
        return path

    return once


@pytest.fixture(scope="session")
def mnist5k_dir(once):
    """A TFDS folder in which mnist5k is prepared; nobody may write to it."""
    from ifnas_jax.data.builder import prepared_builder

    return once("tfds", lambda path: prepared_builder("mnist5k", str(path)))


@pytest.fixture(scope="session")
def digits_dir(once):
    """As `mnist5k_dir`, with a quarter of the digits: 1,000 to train, 250 to test."""
    from ifnas_jax.data import mnist5k
    from ifnas_jax.data.builder import prepared_builder

    def fill(path):
        split = mnist5k.split_rows

        def fewer(labels):
            return {part: rows[::4] for part, rows in split(labels).items()}

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mnist5k, "split_rows", fewer)
            prepared_builder("mnist5k", str(path))

    return once("digits", fill)


@pytest.fixture(scope="session")
def tiny_flags(digits_dir):
    """A function: the command line of a tiny run in a workdir."""

    def flags(workdir, **changes):
        fields = {**TINY, "dataset.data_dir": digits_dir, **changes}
        return [
            f"--config={LCHAIN4}:mnist5k",
            f"--workdir={workdir}",
            *(f"--config.{name}={value}" for name, value in fields.items()),
        ]

    return flags


@pytest.fixture(scope="session")
def finished(tiny_flags, once):
    """An undisturbed run, which nobody may write to, and what it printed."""

    def fill(path):
        (path / "printed").write_text(finish(start(tiny_flags(path / "a"))), "utf-8")

    path = once("run", fill)
    return path / "a", (path / "printed").read_text("utf-8")
