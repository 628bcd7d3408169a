"""Whole runs in a bucket, as far as a fake one goes; and two runs at once."""

import os
import pathlib
import signal
import subprocess
import sys

import buckets
from commands import assert_same_search, contents, finish, start, wait_until

from ifnas_jax import compare, export, files, main
from ifnas_jax.report import __main__ as report


def start_in_bucket(root, module, *arguments, cwd):
    return subprocess.Popen(
        [sys.executable, "-W", "error", buckets.__file__, root, module, *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_run_in_a_bucket_is_that_in_a_folder(
    finished, tiny_flags, tmp_path, monkeypatch, capsys
):
    """Stopped on the way, gone on with, shown and exported, all without a folder."""
    root, cwd = tmp_path / "objects", tmp_path / "cwd"
    cwd.mkdir()

    def run(module, *arguments):
        return start_in_bucket(str(root), module, *arguments, cwd=cwd)

    flags = tiny_flags(f"{buckets.BUCKET}/runs/a")
    search = root / "fake/runs/a/search"
    process = run("ifnas_jax.main", *flags)
    wait_until(process, lambda: (search / "checkpoints").exists())
    wait_until(process, lambda: os.listdir(search / "checkpoints"))
    process.send_signal(signal.SIGTERM)
    assert "goes on from here" in finish(process, code=75)
    assert files.read_rows(search / "metrics.jsonl")
    assert not (root / "fake/runs/a/run.lock").exists()
    written = finish(run("ifnas_jax.main", *flags)).splitlines()
    assert contents(root / "fake/runs/a") == contents(finished[0])
    # Its presence says that the run is done: it comes after all that it is of.
    for name in ("search/architecture.json", "retrain/metrics.jsonl"):
        whole = f"fake/runs/a/{name}"
        assert written.index(whole) < written.index("fake/runs/a/result.json")
    # What is done with a run that is done needs no process of its own.
    buckets.use(monkeypatch, buckets.FolderBackend(root))
    buckets.use_for_checkpoints(monkeypatch, str(root))
    monkeypatch.chdir(cwd)
    assert main.main(flags) == 0
    assert "is done already" in capsys.readouterr().out
    workdir = f"--workdir={buckets.BUCKET}/runs/a"
    assert report.main([workdir]) == 0
    out = f"--out={buckets.BUCKET}/exported"
    assert export.main([workdir, out, "--format=torch"]) == 0
    assert (root / "fake/exported/weights.safetensors").exists()
    html = f"--html={buckets.BUCKET}/x.html"
    assert compare.main([f"{buckets.BUCKET}/runs/a", html]) == 0
    assert (root / "fake/x.html").read_text().startswith("<!DOCTYPE html>")
    assert list(cwd.iterdir()) == []


def test_of_two_runs_at_once_in_one_workdir_one_is_refused(
    finished, tiny_flags, tmp_path
):
    """A double submit: at the same moment, and while the first trains."""
    flags = tiny_flags(tmp_path / "a", jobs="('search',)")
    processes = [start(flags) for _ in range(2)]
    wait_until(processes[0], lambda: (tmp_path / "a/search/checkpoints").exists())
    late = start(flags)
    codes = [process.wait(timeout=300) for process in (*processes, late)]
    said = [process.communicate()[0] for process in (*processes, late)]
    assert sorted(codes) == [0, 2, 2], said
    first = processes[codes.index(0)]
    for code, output in zip(codes, said, strict=True):
        if code == 2:
            assert f"in use by process {first.pid} on {os.uname().nodename}" in output
    assert_same_search(tmp_path / "a", finished[0])


def test_a_home_folder_is_expanded(finished, tiny_flags, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(finished[0].parent))
    monkeypatch.chdir(tmp_path)
    assert "is done already" in finish(start(tiny_flags("~/a")))
    assert not pathlib.Path("~").exists()
