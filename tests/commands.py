"""Runs of the command line in processes of their own."""

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

from benchmarks.kills import SAME
from ifnas_jax import files


def contents(workdir):
    """The bytes of these files."""
    return {name: (pathlib.Path(workdir) / name).read_bytes() for name in SAME}


def assert_same_search(workdir, finished):
    """Every file of a search to compare has the same bytes."""
    for name in SAME[1:5]:
        assert (workdir / name).read_bytes() == (finished / name).read_bytes(), name


def copy_of_search(run, workdir):
    """Copies a run that is done to what it was when its search's loops had ended."""
    shutil.copytree(run, workdir)
    for path in ("result.json", "search/architecture.json", "search/summary.json"):
        (workdir / path).unlink()
    shutil.rmtree(workdir / "retrain")


def start(flags, devices=1, under=(), script=None):
    """Starts a run whose warnings are errors, on so many CPU devices.

    `under` is a command that runs it, such as one that sets limits; `script` a file
    that does so in place of the command line.
    """
    program = [script] if script else ["-m", "ifnas_jax.main"]
    command = [*under, sys.executable, "-W", "error", *program, *flags]
    count = f"--xla_force_host_platform_device_count={devices}"
    return subprocess.Popen(
        command,
        env={**os.environ, "XLA_FLAGS": count},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def start_together(*flags, script=None):
    """Starts the processes of a run, each with its flags and one device."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = [f"--coordinator=127.0.0.1:{port}", f"--processes={len(flags)}"]
    return [
        start([*own, *shared, f"--process={process}"], script=script)
        for process, own in enumerate(flags)
    ]


def finish(process, code=0):
    """Waits for a run, and returns what it printed."""
    output, _ = process.communicate(timeout=300)
    assert process.returncode == code, output
    return output


def wait_for_rows(process, path, rows):
    """Waits until a log has so many rows, or the run has ended."""
    wait_until(process, lambda: len(files.read_rows(path)) >= rows)


def wait_until(process, happened):
    """Waits until something has happened, or the run has ended."""
    while process.poll() is None and not happened():
        time.sleep(0.002)
