"""Several processes and devices: the same run, however it is spread."""

import os
import signal
import time

import numpy as np
import pytest
from commands import finish, start, start_together, wait_for_rows

from ifnas_jax import files

# Short, so that what differs in the last bits has no time to grow.
SHORT = {"jobs": "('search',)", "search.max_epochs": 0.6, "penalty.delta": 2.0}


@pytest.fixture(scope="module")
def one(tiny_flags, tmp_path_factory):
    """A run of one process with two devices."""
    workdir = tmp_path_factory.mktemp("one") / "run"
    finish(start(tiny_flags(workdir, **SHORT), devices=2))
    return workdir


def assert_alike(workdir, other):
    """The same masks, and the same gates and losses up to rounding."""
    for name in ("config.json", "search/architecture.json", "search/prunings.jsonl"):
        assert (workdir / name).read_bytes() == (other / name).read_bytes()
    rows, others = (
        files.read_rows(path / "search" / "metrics.jsonl") for path in (workdir, other)
    )
    assert [row["step"] for row in rows] == [row["step"] for row in others]
    for row, same in zip(rows, others, strict=True):
        assert row["loss"] == pytest.approx(same["loss"], abs=1e-3)
        assert row.get("valid_accuracy") == pytest.approx(same.get("valid_accuracy"))
    rows, others = (
        files.read_rows(path / "search" / "gates.jsonl") for path in (workdir, other)
    )
    for row, same in zip(rows, others, strict=True):
        for ours, theirs in zip(row["beta"], same["beta"], strict=True):
            ours, theirs = np.array(ours, float), np.array(theirs, float)
            np.testing.assert_allclose(ours, theirs, atol=2e-4)


def test_two_processes_are_one_with_two_devices(one, tiny_flags, tmp_path):
    """Process 1 neither reads nor writes its workdir, which may be nowhere."""
    first, second = start_together(
        *(tiny_flags(tmp_path / name, **SHORT) for name in ("run", "nowhere"))
    )
    assert "is done" in finish(first)
    assert "is done" not in finish(second)
    assert not (tmp_path / "nowhere").exists()
    assert_alike(tmp_path / "run", one)
    prunings = files.read_rows(one / "search" / "prunings.jsonl")
    assert prunings, "nothing was pruned, so equal masks say nothing"


def test_processes_that_are_told_to_stop_save_and_one_goes_on(
    one, tiny_flags, tmp_path
):
    """SIGTERM comes to process 1 alone; another number of processes resumes."""
    workdir = tmp_path / "run"
    flags = tiny_flags(workdir, **SHORT)
    first, second = start_together(flags, flags)
    wait_for_rows(first, workdir / "search" / "metrics.jsonl", 9)
    second.send_signal(signal.SIGTERM)
    for process in (first, second):
        assert "stopped by SIGTERM" in finish(process, code=75)
    assert not (workdir / "search" / "architecture.json").exists()
    finish(start(flags, devices=2))
    assert_alike(workdir, one)


def test_a_run_goes_on_with_another_number_of_devices(one, tiny_flags, tmp_path):
    """Batch norm is each device's own, so only what comes before is the same."""
    workdir = tmp_path / "run"
    flags = tiny_flags(workdir, **SHORT)
    process = start(flags, devices=2)
    log = workdir / "search" / "metrics.jsonl"
    wait_for_rows(process, log, 13)
    process.send_signal(signal.SIGTERM)
    finish(process, code=75)
    before = files.read_rows(log)
    finish(start(flags, devices=1))
    rows = files.read_rows(log)
    steps = [row["step"] for row in rows]
    assert rows[: len(before)] == before
    assert steps == list(range(2, 2 * len(rows) + 1, 2))
    assert files.read_json(workdir / "result.json")["target_met_by"] is not None


def test_a_refusal_in_one_process_ends_all(tiny_flags, tmp_path):
    flags = tiny_flags(tmp_path / "run", **{"search.batch_size": 15})
    started = time.monotonic()
    for process in start_together(flags, flags):
        output = finish(process, code=2)
        assert "search.batch_size is 15, which the 2 devices don't divide" in output
    assert time.monotonic() - started < 60
    assert not os.path.exists(tmp_path / "run")
