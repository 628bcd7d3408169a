"""A run that is stopped in any way goes on, and ends with the same bytes."""

import os
import shutil
import signal
import time

import numpy as np
import pytest
from commands import SAME, contents, finish, start, wait_for_rows

from ifnas_jax import architecture, files


def assert_same(workdir, finished):
    """As an undisturbed run, to the byte."""
    ours, theirs = contents(workdir), contents(finished[0])
    for name in SAME:
        assert ours[name] == theirs[name], name
    results = [files.read_json(d / "result.json") for d in (workdir, finished[0])]
    for key in ("top1", "top5", "madds", "params", "depth"):
        assert results[0][key] == results[1][key]


def test_killed_at_three_moments_it_ends_with_the_same_bytes(
    finished, tiny_flags, tmp_path
):
    """SIGKILL in the search, around a checkpoint, and in the retraining."""
    rng = np.random.default_rng()
    total = len(files.read_rows(finished[0] / "search" / "metrics.jsonl"))
    early, late = int(rng.integers(5, total // 2)), int(rng.integers(total // 2, total))
    moments = [
        ("search", early),
        ("search", late),
        ("retrain", int(rng.integers(1, 9))),
    ]
    for job, rows in moments:
        process = start(tiny_flags(tmp_path))
        wait_for_rows(process, tmp_path / job / "metrics.jsonl", rows)
        time.sleep(float(rng.uniform(0, 0.05)))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, (job, rows)
    finish(start(tiny_flags(tmp_path)))
    assert_same(tmp_path, finished)


def test_unreadable_checkpoint_falls_back_to_the_one_before(
    finished, tiny_flags, tmp_path
):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    for path in ("result.json", "search/architecture.json", "search/summary.json"):
        (workdir / path).unlink()
    shutil.rmtree(workdir / "retrain")
    steps = [int(p.name) for p in (workdir / "search/checkpoints").glob("[0-9]*")]
    assert len(steps) == 2
    newest = workdir / "search/checkpoints" / str(max(steps))
    data = max((p for p in newest.rglob("*") if p.is_file()), key=os.path.getsize)
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    output = finish(start(tiny_flags(workdir, jobs="('search',)")))
    assert "unreadable" in output
    assert (workdir / f"search/checkpoints/{max(steps)}.unreadable").is_dir()
    for name in SAME[1:5]:
        assert (workdir / name).read_bytes() == (finished[0] / name).read_bytes()


def test_told_to_stop_in_the_middle_of_a_loop_it_ends_with_the_same_bytes(
    finished, tiny_flags, tmp_path
):
    """SIGTERM: a checkpoint is saved wherever the run is, with a code of its own."""
    for job, rows in (("search", 6), ("retrain", 3)):
        process = start(tiny_flags(tmp_path))
        wait_for_rows(process, tmp_path / job / "metrics.jsonl", rows)
        process.send_signal(signal.SIGTERM)
        output = finish(process, code=75)
        assert "stopped by SIGTERM" in output
        assert "Traceback" not in output
    finish(start(tiny_flags(tmp_path)))
    assert_same(tmp_path, finished)


def test_a_checkpoint_says_what_was_found_without_code(finished):
    """As JSON, a file of Orbax' that anybody can read."""
    directory = finished[0] / "search" / "checkpoints"
    newest = max(directory.glob("[0-9]*"), key=lambda path: int(path.name))
    found = files.read_json(newest / "facts" / "metadata")["facts"]["found"]
    read = architecture.from_json(found["architecture"])
    rows = files.read_rows(finished[0] / "search" / "gates.jsonl")
    row = next(row for row in rows if row["step"] == int(newest.name))
    for stage, edges, beta, alpha in zip(
        read.stages, found["gates"], row["beta"], row["alpha"], strict=True
    ):
        # Edges of unread nodes have gates still.
        gates = {(edge["src"], edge["dst"]): edge for edge in edges}
        assert gates.keys() >= {(edge.src, edge.dst) for edge in stage.edges}
        for (src, dst), edge in gates.items():
            place = dst - 1, dst - src - 1
            assert edge["gate"] == pytest.approx(beta[place[0]][place[1]], abs=1e-4)
            kept = [x for x in alpha[place[0]][place[1]] if x is not None]
            assert list(edge["ops"].values()) == pytest.approx(kept, abs=1e-4)
        for edge in stage.edges:
            assert tuple(gates[edge.src, edge.dst]["ops"]) == edge.ops


def test_a_full_disk_is_said_and_nothing_is_lost(finished, tiny_flags, tmp_path):
    """Files of a checkpoint's size can't be written, in the middle of the search."""

    limited = ["bash", "-c", 'ulimit -S -f 60 && exec "$@"', "--"]
    process = start(tiny_flags(tmp_path), under=limited)
    output = finish(process, code=4)
    assert "Traceback" not in output
    assert "cannot write the checkpoints in" in output.splitlines()[-1]
    finish(start(tiny_flags(tmp_path)))
    assert_same(tmp_path, finished)


def test_a_workdir_that_cannot_be_written_is_refused(tiny_flags):
    output = finish(start(tiny_flags("/proc/run")), code=2)
    assert "--workdir '/proc/run' cannot be written" in output.splitlines()[-1]
