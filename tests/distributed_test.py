"""Several processes and devices: the same run, however it is spread."""

import json
import os
import shutil
import signal
import time

import jax
import numpy as np
import pytest
import refusals
from commands import copy_of_search, finish, start, start_together, wait_for_rows

from ifnas_jax import files, main

# Short and slow, so that what differs in the last bits, as processes and devices add
# up in another way, does not grow: at usual rates 1e-7 is 1e-2 after 20 steps.
SHORT = {
    "search.learning_rate": 0.0002,
    "retrain.learning_rate": 0.0005,
    "search.max_epochs": 2.4,
    "penalty.delta": 2.0,
    "retrain.epochs": 1,
    "retrain.test_every": 1,
}
SEARCH = {**SHORT, "jobs": "('search',)"}

pytestmark = pytest.mark.usefixtures("compiles_soon")


@pytest.fixture(scope="module")
def one(tiny_flags, once, compiles_soon):
    """A run of one process with two devices; nobody may write to it."""

    def fill(path):
        finish(start(tiny_flags(path / "run", **SHORT), devices=2))

    return once("two_devices", fill) / "run"


def pairs(workdir, other, log):
    """The rows of a log of two runs, two by two, of equal steps."""
    rows, others = (files.read_rows(path / log) for path in (workdir, other))
    assert rows
    assert [row["step"] for row in rows] == [row["step"] for row in others]
    return zip(rows, others, strict=True)


def room(step):
    """For what differs: while gates close, each loop of 8 steps multiplies it."""
    return min(3e-2, 1e-5 * 4 ** max(0, (step - 40) / 8))


def assert_alike(workdir, other):
    """The same masks, and the same gates and losses up to rounding."""
    name = "search/architecture.json"
    assert (workdir / name).read_bytes() == (other / name).read_bytes()
    for row, same in pairs(workdir, other, "search/prunings.jsonl"):
        gates = [own.pop("gate") for own in (row, same)]
        assert row == same
        assert (gates[0] is None) == (gates[1] is None)
        assert (gates[0] or 0.0) == pytest.approx(gates[1] or 0.0, abs=1e-3)
    for row, same in pairs(workdir, other, "search/metrics.jsonl"):
        assert row["loss"] == pytest.approx(same["loss"], abs=room(row["step"]))
        # Of 96 images, one may be within rounding of another class.
        assert row.get("valid_accuracy", 0) == pytest.approx(
            same.get("valid_accuracy", 0), abs=0.0105
        )
    for row, same in pairs(workdir, other, "retrain/metrics.jsonl"):
        assert row["loss"] == pytest.approx(same["loss"], abs=1e-4)
        # Of 250 images, one may be within rounding of another class.
        assert row.get("test_top1", 0) == pytest.approx(
            same.get("test_top1", 0), abs=0.0041
        )
    results = [files.read_json(path / "result.json") for path in (workdir, other)]
    assert results[0]["madds"] == results[1]["madds"]
    for row, same in pairs(workdir, other, "search/gates.jsonl"):
        for ours, theirs in zip(row["beta"], same["beta"], strict=True):
            ours, theirs = np.array(ours, float), np.array(theirs, float)
            # They are told to four digits.
            least = 1.1e-4 + room(row["step"])
            np.testing.assert_allclose(ours, theirs, atol=least)


def test_two_processes_are_one_with_two_devices_however_they_end(
    one, tiny_flags, tmp_path
):
    """From search to test: two are stopped, one with two devices goes on, then two
    again, of which one is killed as by a machine that fails, and two to the end.

    SIGTERM comes to process 1 alone; its workdir may be nowhere.
    """
    workdir, nowhere = tmp_path / "run", tmp_path / "nowhere"
    log = workdir / "search" / "metrics.jsonl"
    flags = [tiny_flags(path, **SHORT) for path in (workdir, nowhere)]
    first, second = start_together(*flags)
    wait_for_rows(first, log, 5)
    second.send_signal(signal.SIGTERM)
    for process in (first, second):
        assert "stopped by SIGTERM" in finish(process, code=75)
    rows = len(files.read_rows(log))
    alone = start(flags[0], devices=2)
    wait_for_rows(alone, log, rows + 4)
    alone.send_signal(signal.SIGTERM)
    assert "stopped by SIGTERM" in finish(alone, code=75)
    rows = len(files.read_rows(log))

    first, second = start_together(*flags)
    wait_for_rows(first, log, rows + 4)
    second.kill()
    second.communicate()
    output, _ = first.communicate(timeout=200)
    assert first.returncode not in (0, 2, 3, 75), output
    assert not (workdir / "search" / "architecture.json").exists()

    first, second = start_together(*flags)
    assert "is done" in finish(first)
    assert "is done" not in finish(second)
    assert not nowhere.exists()
    assert_alike(workdir, one)
    prunings = files.read_rows(one / "search" / "prunings.jsonl")
    assert prunings, "nothing was pruned, so equal masks say nothing"


def test_a_run_goes_on_with_another_number_of_devices(one, tiny_flags, tmp_path):
    """Batch norm is each device's own, so only what comes before is the same."""
    workdir = tmp_path / "run"
    copy_of_search(one, workdir)
    saved = workdir / "search" / "checkpoints"
    before_last, last = sorted(int(path.name) for path in saved.glob("[0-9]*"))
    shutil.rmtree(saved / str(last))
    assert jax.device_count() == 1
    assert main.main(tiny_flags(workdir, **SEARCH)) == 0
    log = "search/metrics.jsonl"
    before, rows = (files.read_rows(path / log) for path in (one, workdir))
    begun = [row for row in before if row["step"] <= before_last]
    assert begun and len(rows) > len(begun)
    assert rows[: len(begun)] == begun
    assert [row["step"] for row in rows] == list(range(2, 2 * len(rows) + 1, 2))
    # Of first values it would be met by the fallback.
    assert files.read_json(workdir / "result.json")["target_met_by"] == "pruning"


def test_what_one_process_can_not_use_is_refused_by_all(
    tiny_flags, digits_dir, tmp_path
):
    """Three cases in one pair of processes, the last of which ends them.

    They would wait for what takes long to prepare; of different configs they would
    train apart, each with its own updates, and nobody would notice; and where only
    process 1 has anything to complain of, the other would wait for it.
    """
    workdir, empty, broken = (tmp_path / name for name in ("run", "tfds", "broken"))
    (version,) = (digits_dir / "mnist5k").iterdir()
    (broken / "mnist5k" / version.name).mkdir(parents=True)
    unprepared = {"dataset.data_dir": empty, "dataset.name": "fashion_mnist"}
    cases = [
        [tiny_flags(workdir, **SHORT, **unprepared)] * 2,
        [tiny_flags(workdir, **SHORT, seed=seed) for seed in (0, 1)],
        [
            tiny_flags(workdir, **SHORT),
            tiny_flags(workdir, **SHORT, **{"dataset.data_dir": broken}),
        ],
    ]
    own = [[json.dumps(flags) for flags in each] for each in zip(*cases, strict=True)]
    for process in start_together(*own, script=refusals.__file__):
        *_, long, different, last = finish(process, code=2).splitlines()
        assert "the processes of a run don't wait for that" in long
        assert "process 1: it has another seed (1) than process 0 (0)" in different
        assert last.startswith("ifnas_jax: process 1: dataset.data_dir")
        assert "half-written" in last
    assert not workdir.exists() and not empty.exists()


# A shell of `srun --ntasks=4 --pty bash`. JAX makes the port of the job's number.
SLURM = {
    "SLURM_JOB_ID": str(os.getpid()),
    "SLURM_STEP_NODELIST": "localhost",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
}


@pytest.mark.parametrize(
    ("by_hand", "signaled", "code"),
    [
        (False, signal.SIGINT, 130),
        (False, signal.SIGTERM, 75),
        (True, signal.SIGINT, 130),
    ],
)
def test_who_waits_for_others_says_so_and_can_be_stopped(
    by_hand, signaled, code, tiny_flags, tmp_path, monkeypatch
):
    flags, which = tiny_flags(tmp_path / "run"), "process 0 of 4"
    if by_hand:
        flags += ["--coordinator=127.0.0.1:9", "--processes=2", "--process=1"]
        which = "process 1 of 2 with the coordinator 127.0.0.1:9"
    else:
        for name, value in SLURM.items():
            monkeypatch.setenv(name, value)
    process = start(flags)
    started = time.monotonic()
    said = process.stdout.readline()
    assert which in said, said
    assert "15 minutes; say --distributed=off" in said
    process.send_signal(signaled)
    (last,) = finish(process, code).splitlines()
    assert last.startswith("ifnas_jax: ")
    assert time.monotonic() - started < 30
    assert not list(tmp_path.iterdir())
