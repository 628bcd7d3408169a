"""Who has a workdir."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import buckets
import pytest

from ifnas_jax.errors import InputError
from ifnas_jax.run.lock import Lock
from ifnas_jax.run.workdir import Workdir

PATIENCE = 0.5


def make(workdir):
    return Lock(Workdir(workdir), beat=0.05, patience=PATIENCE, settled=0.1)


@contextmanager
def taken(workdir):
    lock = make(workdir)
    lock.take()
    try:
        yield lock
    finally:
        lock.release()


@pytest.fixture(params=["folder", "bucket"])
def workdir(request, tmp_path, monkeypatch):
    if request.param == "folder":
        return str(tmp_path)
    buckets.use(monkeypatch, buckets.FolderBackend(tmp_path))
    (tmp_path / "fake").mkdir()
    return buckets.BUCKET


def left(tmp_path, **changes):
    """Leaves the lock of a process that is gone, or as it is changed."""
    with taken(tmp_path):
        held = json.loads((tmp_path / "run.lock").read_text())
    (tmp_path / "run.lock").write_text(
        json.dumps({**held, "token": "other", **changes})
    )


def test_a_workdir_is_of_one_run_until_that_ends(workdir):
    for _ in range(2):
        with taken(workdir):
            with pytest.raises(InputError) as refused:
                make(workdir).take()
            assert f"process {os.getpid()} on {os.uname().nodename}" in str(
                refused.value
            )
            time.sleep(0.2)  # It lives on.
    names = os.listdir(workdir) if "://" not in workdir else []
    assert names == []


def test_of_many_at_once_one_has_it(workdir):
    locks, won = [make(workdir) for _ in range(8)], []

    def take(lock):
        try:
            lock.take()
        except InputError:
            return
        won.append(lock)

    threads = [threading.Thread(target=take, args=(lock,)) for lock in locks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    won[0].release()


@pytest.mark.parametrize("end", ["reaped", "zombie", "number given anew"])
def test_a_process_of_this_machine_that_is_gone_is_not_waited_for(tmp_path, end):
    pid = os.getpid()
    if end != "number given anew":
        process = subprocess.Popen([sys.executable, "-c", ""])
        pid = process.pid
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        if end == "reaped":
            process.wait()
    left(tmp_path, pid=pid, started="1")
    start = time.monotonic()
    with taken(tmp_path):
        assert time.monotonic() - start < PATIENCE
    if end == "zombie":
        process.wait()


def test_a_process_of_this_machine_that_lives_is_never_passed_over(tmp_path):
    """Also where it is stopped, and gives no sign."""
    left(tmp_path, token="stopped")
    before = (tmp_path / "run.lock").read_bytes()
    time.sleep(2 * PATIENCE)
    with pytest.raises(InputError, match="is in use by process"):
        make(tmp_path).take()
    assert (tmp_path / "run.lock").read_bytes() == before


@pytest.mark.parametrize("content", [None, b"", b'{"token": "x"}', b"\0\0\0"])
def test_one_elsewhere_is_passed_over_after_a_while(tmp_path, capfd, content):
    left(tmp_path, machine="elsewhere", host="node7", pid=12)
    if content is not None:  # One that was killed while it wrote.
        (tmp_path / "run.lock").write_bytes(content)
    start = time.monotonic()
    with taken(tmp_path):
        assert time.monotonic() - start > PATIENCE
    who = "process 12 on node7" if content is None else "another process"
    assert f"was left by {who}" in capfd.readouterr().err


@pytest.mark.parametrize("hidden", ["other host", "no /proc", "not shown"])
def test_one_that_cannot_be_told_apart_is_watched(tmp_path, monkeypatch, hidden):
    """Of a copy of this machine; of a system without /proc; of another user there."""
    if hidden == "other host":
        left(tmp_path, host="clone", pid=2**22 + 1)
    elif hidden == "no /proc":
        # Another process has its number now.
        monkeypatch.setattr("ifnas_jax.run.lock._started", lambda pid: None)
        left(tmp_path)
    else:
        left(tmp_path, started="unknown")
    start = time.monotonic()
    with taken(tmp_path):
        assert time.monotonic() - start > PATIENCE


def test_a_machine_without_a_boot_id_has_a_lock(tmp_path, monkeypatch):
    def missing(path, *arguments, **options):
        if str(path).startswith("/proc/sys"):
            raise FileNotFoundError(path)
        return opened(path, *arguments, **options)

    opened = open
    monkeypatch.setattr("builtins.open", missing)
    with taken(tmp_path), pytest.raises(InputError, match="is in use by process"):
        make(tmp_path).take()


def test_one_elsewhere_that_lives_is_not(tmp_path):
    left(tmp_path, machine="elsewhere", host="node7", pid=12)
    held = json.loads((tmp_path / "run.lock").read_text())

    def live():
        time.sleep(PATIENCE / 2)
        # As a lock does: whoever reads while it is written sees the old one, or this.
        (tmp_path / "new").write_text(json.dumps({**held, "count": 99}))
        (tmp_path / "new").replace(tmp_path / "run.lock")

    thread = threading.Thread(target=live)
    thread.start()
    with pytest.raises(InputError, match="process 12 on node7"):
        make(tmp_path).take()
    thread.join()


def test_a_run_whose_workdir_was_taken_over_ends(tmp_path):
    code = (
        "import sys, time\n"
        "from ifnas_jax.run.lock import Lock\n"
        "from ifnas_jax.run.workdir import Workdir\n"
        f"Lock(Workdir({str(tmp_path)!r}), beat=0.05).take()\n"
        "print('taken', flush=True)\n"
        "time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    other = {
        **json.loads((tmp_path / "run.lock").read_text()),
        "token": "x",
        "host": "h2",
    }
    (tmp_path / "new").write_text(json.dumps(other))
    (tmp_path / "new").replace(tmp_path / "run.lock")
    _, said = process.communicate(timeout=30)
    assert process.returncode == 4
    assert "on h2 has taken --workdir" in said
    assert json.loads((tmp_path / "run.lock").read_text()) == other


@pytest.mark.parametrize("content", [None, b"", b"\0\0\0"])
def test_a_lock_that_somebody_removed_is_written_again(tmp_path, content):
    with taken(tmp_path):
        if content is None:
            (tmp_path / "run.lock").unlink()
        else:
            (tmp_path / "run.lock").write_bytes(content)
        time.sleep(0.3)
        with pytest.raises(InputError, match="is in use"):
            make(tmp_path).take()
