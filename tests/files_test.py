import json
import os
from contextlib import closing

import pytest

from ifnas_jax import files
from ifnas_jax.errors import InputError
from ifnas_jax.report import logs
from ifnas_jax.run.workdir import JobFiles


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    files.write_json(path, {"top1": 0.5})
    old = path.read_bytes()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        files.write_json(path, {"top1": 0.9})
    assert path.read_bytes() == old
    monkeypatch.undo()
    files.write_json(path, {"top1": 0.9})
    assert files.read_json(path) == {"top1": 0.9}
    assert os.listdir(tmp_path) == ["result.json"]


def test_json_ends_with_a_line_end_and_keeps_its_order(tmp_path):
    path = tmp_path / "x.json"
    files.write_json(path, {"b": 1, "a": [2]})
    assert path.read_text().endswith("}\n")
    assert list(files.read_json(path)) == ["b", "a"]


def test_rows_of_a_missing_file_are_none(tmp_path):
    assert files.read_rows(tmp_path / "metrics.jsonl") == []


def test_a_line_without_its_end_is_not_a_row(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"ste')
    assert files.read_rows(path) == [{"step": 1}, {"step": 2}]
    path.write_text('{"step": 1}\n{"step": 2}')
    assert files.read_rows(path) == [{"step": 1}]


def test_zeros_that_a_power_cut_leaves_at_the_end_are_no_rows(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n{"st' + bytes(100))
    assert files.read_rows(path) == [{"step": 1}, {"step": 2}]
    path.write_bytes(b'{"step": 1}\n' + bytes(10) + b'\n{"step": 2}\n')
    with pytest.raises(InputError, match="damaged in line 2"):
        files.read_rows(path)


@pytest.mark.parametrize("half_written", ["", '{"step": 9, "lo'])
def test_a_resumed_log_has_the_bytes_of_one_that_was_not_interrupted(
    tmp_path, half_written
):
    rows = [{"step": step, "loss": step / 7} for step in (2, 4, 4, 6, 8)]
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    log = files.RowLog(whole, 0)
    for row in rows:
        log.write(row)
    log.close()
    # Killed after step 6 and on its way; its newest checkpoint is of step 4.
    cut.write_text("".join(json.dumps(row) + "\n" for row in rows[:4]) + half_written)
    log = files.RowLog(cut, 4)
    assert log.kept == rows[:3]
    for row in rows[3:]:
        log.write(row)
        assert files.read_rows(cut)[-1] == row  # a reader sees it at once
    log.close()
    assert cut.read_bytes() == whole.read_bytes()


def test_a_log_of_a_run_that_starts_over_is_empty(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n')
    files.RowLog(path, 0).close()
    assert path.read_bytes() == b""


def test_a_log_that_lags_behind_its_checkpoint_is_said(tmp_path, caplog):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 5}\n{"step": 10}\n')
    for step, said in ((10, False), (15, True)):
        with closing(logs.MetricsLog(JobFiles(tmp_path), 17, tensorboard=False)) as log:
            log.expect(step)
        assert ("lacks the rows after step 10 up to step 15" in caplog.text) == said
