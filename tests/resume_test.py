"""A run that is stopped in any way goes on, and ends with the same bytes.

What is stopped by a signal, or has limits, runs in a process of its own.
"""

import os
import shutil
import signal
import time

import numpy as np
import pytest
from commands import (
    assert_same_search,
    copy_of_search,
    finish,
    start,
    wait_for_rows,
    wait_until,
)

from benchmarks.kills import compare, unfinished
from ifnas_jax import architecture, files, main

SEARCH = {"jobs": "('search',)"}


def newest(workdir, job):
    """The step of a job's newest checkpoint."""
    names = os.listdir(workdir / job / "checkpoints")
    return max(int(name) for name in names if name.isdigit())


def test_killed_at_three_moments_it_ends_with_the_same_bytes(
    finished, tiny_flags, tmp_path
):
    """SIGKILL in the search, while a checkpoint is written, and in the retraining."""
    seed = int(np.random.default_rng().integers(2**31))
    print("seed of the moments:", seed)
    rng = np.random.default_rng(seed)
    total = len(files.read_rows(finished[0] / "search" / "metrics.jsonl"))
    logs = {job: tmp_path / job / "metrics.jsonl" for job in ("search", "retrain")}
    early, later = (int(n) for n in rng.integers((5, 1), (total // 2, 9)))

    def saving():
        return unfinished(tmp_path) - old

    for happened in (
        lambda: len(files.read_rows(logs["search"])) >= early,
        saving,
        lambda: len(files.read_rows(logs["retrain"])) >= later,
    ):
        old = unfinished(tmp_path)
        process = start(tiny_flags(tmp_path))
        wait_until(process, happened)
        if happened != saving:
            time.sleep(float(rng.uniform(0, 0.05)))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    finish(start(tiny_flags(tmp_path)))
    assert not compare(tmp_path, finished[0])


def test_unreadable_checkpoint_falls_back_to_the_one_before(
    finished, tiny_flags, tmp_path, caplog
):
    workdir = tmp_path / "run"
    copy_of_search(finished[0], workdir)
    steps = [int(p.name) for p in (workdir / "search/checkpoints").glob("[0-9]*")]
    assert len(steps) == 2
    torn = workdir / "search/checkpoints" / str(max(steps))
    data = max((p for p in torn.rglob("*") if p.is_file()), key=os.path.getsize)
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    assert main.main(tiny_flags(workdir, **SEARCH)) == 0
    assert "is unreadable" in caplog.text
    assert (workdir / f"search/checkpoints/{max(steps)}.unreadable").is_dir()
    assert_same_search(workdir, finished[0])


def test_told_to_stop_in_the_middle_of_a_loop_it_ends_with_the_same_bytes(
    finished, tiny_flags, tmp_path, caplog
):
    """SIGTERM: a checkpoint is saved wherever the run is, with a code of its own."""
    irregular = []
    # After the first row of a loop of 8 steps, and of an epoch of 20.
    for job, rows, regular in (("search", 5, 8), ("retrain", 1, 20)):
        process = start(tiny_flags(tmp_path))
        wait_for_rows(process, tmp_path / job / "metrics.jsonl", rows)
        process.send_signal(signal.SIGTERM)
        output = finish(process, code=75)
        assert "stopped by SIGTERM" in output
        assert "Traceback" not in output
        irregular.append(newest(tmp_path, job) % regular)
    # A busy machine may be late for one of them.
    assert any(irregular)
    assert main.main(tiny_flags(tmp_path)) == 0
    assert "lacks the rows" not in caplog.text
    assert not compare(tmp_path, finished[0])


def test_a_checkpoint_says_what_was_found_without_code(finished):
    """As JSON, a file of Orbax' that anybody can read."""
    directory = finished[0] / "search" / "checkpoints"
    step = newest(finished[0], "search")
    metadata = directory / str(step) / "facts" / "metadata"
    found = files.read_json(metadata)["facts"]["found"]
    read = architecture.from_json(found["architecture"])
    rows = files.read_rows(finished[0] / "search" / "gates.jsonl")
    row = next(row for row in rows if row["step"] == step)
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


def test_the_weights_that_were_tested_are_saved_and_tested_again_if_their_row_is_lost(
    finished, tiny_flags, tmp_path
):
    """Epochs 1 and 3 of 3 are not due for a checkpoint, epochs 2 and 3 are tested."""
    assert newest(finished[0], "retrain") == 60
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    for path in ("result.json", "retrain/summary.json"):
        (workdir / path).unlink()
    log = workdir / "retrain" / "metrics.jsonl"
    rows = log.read_text().splitlines(keepends=True)
    (last,) = (n for n, row in enumerate(rows) if '"step": 40' in row)
    assert "test_top1" in rows[last]
    log.write_text("".join(rows[: last + 1]))
    assert "lacks the rows after step 40" in finish(start(tiny_flags(workdir)))
    results = [files.read_json(path / "result.json") for path in (workdir, finished[0])]
    assert results[0]["top1"] == results[1]["top1"]


def test_a_full_disk_is_said_and_nothing_is_lost(finished, tiny_flags, tmp_path):
    """Files of a checkpoint's size can't be written, from the middle of the search."""
    flags = tiny_flags(tmp_path, **SEARCH)
    process = start(flags)
    wait_for_rows(process, tmp_path / "search" / "metrics.jsonl", 9)
    process.send_signal(signal.SIGTERM)
    finish(process, code=75)
    step = newest(tmp_path, "search")
    saved = tmp_path / "search" / "checkpoints" / str(step)
    size = max(p.stat().st_size for p in saved.rglob("*") if p.is_file())
    # In KiB: three quarters of what the largest file takes.
    limited = ["bash", "-c", f'ulimit -S -f {size * 3 // 4096} && exec "$@"', "--"]
    output = finish(start(flags, under=limited), code=4)
    assert "Traceback" not in output
    last = output.splitlines()[-1]
    assert "cannot write the checkpoints in" in last and "File too large" in last
    assert newest(tmp_path, "search") == step
    assert main.main(flags) == 0
    assert_same_search(tmp_path, finished[0])


def test_a_workdir_that_cannot_be_written_is_refused(tiny_flags):
    output = finish(start(tiny_flags("/proc/run")), code=2)
    assert "--workdir '/proc/run' cannot be written" in output.splitlines()[-1]


def test_a_workdir_gone_read_only_and_data_gone_are_said_and_nothing_is_lost(
    finished, tiny_flags, digits_dir, tmp_path, caplog
):
    """In the middle of the search, then between two starts; then all is mended."""
    workdir, data = tmp_path / "run", tmp_path / "data"
    shutil.copytree(digits_dir, data)
    # Root may write anywhere, unless it gives that up.
    bound = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    flags = tiny_flags(workdir, **SEARCH)
    process = start(flags, under=bound)
    wait_for_rows(process, workdir / "search" / "metrics.jsonl", 5)
    folders = [workdir, workdir / "search", workdir / "search" / "checkpoints"]
    for folder in folders:
        folder.chmod(0o555)
    for stopped in (process, start(flags, under=bound)):
        output = finish(stopped, code=4)
        assert "Traceback" not in output
        last = output.splitlines()[-1]
        assert "(Permission denied); mend that, and the same command goes on" in last
    for folder in folders:
        folder.chmod(0o755)
    for shard in data.rglob("*.array_record*"):
        shard.unlink()
    away = tiny_flags(workdir, **SEARCH, **{"dataset.data_dir": data})
    output = finish(start(away), code=4)
    assert "is missing" in output.splitlines()[-1]
    assert main.main(flags) == 0
    assert "lacks the rows" not in caplog.text
    assert_same_search(workdir, finished[0])
