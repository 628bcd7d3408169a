"""Folders and buckets."""

import os
import pathlib
import sys
from contextlib import closing

import buckets
import pytest

from ifnas_jax import compare, export, files, inspect, main, storage
from ifnas_jax.data import prepare as prepare_data
from ifnas_jax.errors import InputError, StorageError
from ifnas_jax.report import __main__ as report_main
from ifnas_jax.runtime.checkpoint import Checkpoints


@pytest.fixture(params=["folder", "memory"])
def bucket(request, monkeypatch, tmp_path):
    """A bucket's name, of each fake."""
    monkeypatch.chdir(tmp_path)
    fakes = {
        "folder": lambda: buckets.FolderBackend(tmp_path / "objects"),
        "memory": buckets.MemoryBackend,
    }
    buckets.use(monkeypatch, fakes[request.param]())
    yield buckets.BUCKET
    assert not os.path.exists("gs:")


def test_home_is_expanded_and_nothing_else_is_changed(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert storage.named("--workdir", "~/a") == "/home/someone/a"
    assert storage.named("--workdir", "~") == "/home/someone"
    for same in ("runs/~a", "./~", "/x/y", "runs/seed[1]", "C:x", "a:b/c"):
        assert storage.named("--workdir", same) == same


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "names nothing"),
        ("/gs/\n", "take '/gs/\\n' for a bucket"),
        ("a\0b", "names nothing"),
        ("s3://b/a", "mount it as a folder"),
        ("file:///b/a", "mount it as a folder"),
        ("gs:/b/a", "mount it as a folder"),
        ("gs://", "names no bucket"),
        ("gs:///a", "names no bucket"),
        ("gs://b/seed[1]", "for something else"),
        ("gs://b/../c", "for something else"),
        ("~nobody-has-this-name/a", "no such home folder"),
        ("/s3/a", "take '/s3/a' for a bucket"),
        ("/gs", "take '/gs' for a bucket"),
        ("/x/logs:/a", "take '/x/logs:/a' for a bucket"),
    ],
)
def test_what_no_back_end_can_do_is_refused(path, said):
    with pytest.raises(InputError, match="--out is") as refused:
        storage.named("--out", path)
    assert said in str(refused.value)
    assert repr(path) in str(refused.value)


@pytest.mark.parametrize("path", ["/x/\\/a", "/x/a\\b", "/x/\udcff"])
def test_where_no_checkpoint_can_be_is_refused_for_them(path):
    assert storage.named("--html", path) == path
    with pytest.raises(InputError, match="checkpoints can't be in"):
        storage.named("--workdir", path, checkpoints=True)


def test_a_bucket_without_its_client_is_refused_only_for_checkpoints(monkeypatch):
    monkeypatch.setattr(storage, "_has_client", lambda: False)
    assert storage.named("--workdir", "gs://b/a/") == "gs://b/a"
    with pytest.raises(InputError, match=r"pip install -e '\.\[gcs\]'"):
        storage.named("--workdir", "gs://b/a", checkpoints=True)


def test_files_of_a_bucket_are_written_read_and_listed(bucket):
    folder, path = f"{bucket}/run", f"{bucket}/run/result.json"
    assert not storage.exists(path)
    assert storage.names_in(folder) == []
    storage.make_folder(folder)
    files.write_json(path, {"top1": 0.5})
    files.write_json(path, {"top1": 0.9})
    assert files.read_json(path) == {"top1": 0.9}
    assert storage.is_file(path)
    assert not storage.is_file(folder)
    assert storage.names_in(folder) == ["result.json"]
    assert storage.facts(path)[:3] == (False, True, len(storage.read_bytes(path)))
    assert storage.facts(folder)[:2] == (True, False)
    storage.remove(path)
    with pytest.raises(FileNotFoundError):
        storage.facts(path)
    assert not storage.exists(path)
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(path)


def test_a_log_in_a_bucket_is_whole_whenever_something_counts_on_it(bucket):
    path = f"{bucket}/metrics.jsonl"
    rows = [{"step": step} for step in range(1, 5)]
    log = files.RowLog(path, 0)
    for row in rows[:3]:
        log.write(row)
    log.sync()
    assert files.read_rows(path) == rows[:3]
    log.write(rows[3])
    with closing(files.RowLog(path, 2)) as again:
        assert again.kept == rows[:2]
        again.write(rows[2])
    assert files.read_rows(path) == rows[:3]


def test_a_reader_of_a_bucket_sees_a_row_in_time(bucket, monkeypatch):
    path, now = f"{bucket}/metrics.jsonl", [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    log = files.RowLog(path, 0)
    log.write({"step": 1})
    assert files.read_rows(path) == []
    now[0] = 31.0
    log.write({"step": 2})
    assert files.read_rows(path) == [{"step": 1}, {"step": 2}]


def test_what_a_buckets_client_raises_is_said_as_a_system_error(monkeypatch):
    class ClientError(Exception):
        pass

    class Fails(buckets.FolderBackend):
        def exists(self, path):
            raise ClientError("no credentials")

    buckets.use(monkeypatch, Fails("nowhere"))
    with pytest.raises(OSError, match="ClientError: no credentials"):
        storage.exists("gs://b/a")
    # Of a folder such an error is a mistake of ours.
    with pytest.raises(ClientError), storage.system_errors("runs/a"):
        raise ClientError


def commands_on(bucket, workdir):
    """Every command, with a bucket in place of each folder that it may name."""
    prepare = f"--dataset=mnist5k --data_dir={bucket}"
    return {
        "main": (main.main, f"{MAIN} --workdir={bucket}", "--workdir"),
        "main's data": (
            main.main,
            f"{MAIN} --workdir=w --config.dataset.data_dir={bucket}",
            "dataset.data_dir",
        ),
        "prepare": (prepare_data.main, prepare, "dataset.data_dir"),
        "folder": (
            prepare_data.main,
            prepare.replace("mnist5k", "folder"),
            "dataset.data_dir",
        ),
        "export": (export.main, f"--workdir={bucket} --out=q", "workdir"),
        "export's out": (
            export.main,
            f"--workdir={workdir} --out={bucket}/q --weights=none",
            "--out",
        ),
        "report": (report_main.main, f"--workdir={bucket}", "--workdir"),
        "compare": (compare.main, f"{workdir} {bucket}", "RUN"),
        "compare's page": (compare.main, f"{workdir} --html={bucket}/x.html", "--html"),
        "inspect": (
            inspect.main,
            f"--architecture={bucket}/architecture.json",
            "architecture",
        ),
    }


MAIN = "--config=configs/lchain4.py:mnist5k"


@pytest.mark.parametrize("command", commands_on("", ""))
def test_a_bucket_that_cannot_be_reached_is_said_in_a_sentence(
    command, finished, tmp_path, monkeypatch, capsys
):
    """As with no credentials, a name that is misspelled, or no network."""

    class Denied(buckets.FolderBackend):
        def denied(self, *arguments, **options):
            raise RuntimeError("PermissionDenied: 403")

        exists = isdir = listdir = stat = open = makedirs = mkdir = glob = denied

    monkeypatch.chdir(tmp_path)
    buckets.use(monkeypatch, Denied("nowhere"))
    monkeypatch.setattr("signal.signal", lambda *_: None)  # main's, of SIGTERM
    run, line, name = commands_on("gs://b/a", finished[0])[command]
    if command == "main":
        # Whether there is a run to go on with isn't known.
        monkeypatch.setattr(os, "_exit", sys.exit)
        with pytest.raises(SystemExit, match="4"):
            run(line.split())
    else:
        assert run(line.split()) == 2
    error = capsys.readouterr().err
    (sentence,) = [x for x in error.splitlines() if "Preparing" not in x]
    assert name in sentence and "gs://b/a" in sentence
    assert "403" in sentence and "at the last checkpoint." not in sentence
    assert "cannot be written" not in sentence
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["seed[1]", "a*b?", "[", "[!a]", "%20 #"])
def test_checkpoints_are_read_whatever_the_folder_is_called(tmp_path, name):
    import numpy as np

    def tree(step):
        return {"a": np.full((3, 2), step, np.float32)}

    for step in (1, 2, 3):
        with closing(Checkpoints(tmp_path / name / "checkpoints")) as checkpoints:
            found = checkpoints.restore(tree(0))
            assert (found and found[0]) == (step - 1 or None)
            checkpoints.save(step, tree(step), {})
    assert sorted(os.listdir(tmp_path / name / "checkpoints")) == ["2", "3"]


def test_a_first_checkpoint_that_cannot_be_read_is_said_at_once(tmp_path, monkeypatch):
    """As where a library writes a part of it, or a file system loses it."""
    import numpy as np

    tree, reads = {"a": np.ones(2, np.float32)}, []

    def lost(manager, step, like, check):
        reads.append(step)
        raise ValueError("there is nothing")

    with closing(Checkpoints(tmp_path)) as checkpoints:
        checkpoints.save(1, tree, {})
        monkeypatch.setattr("ifnas_jax.runtime.checkpoint._read", lost)
        checkpoints.save(2, tree, {})  # Only the first of a start is read back.
    assert reads == []
    with (
        pytest.raises(StorageError, match=r"first .* can't be read \(there is nothing"),
        closing(Checkpoints(tmp_path / "b")) as checkpoints,
    ):
        checkpoints.save(1, tree, {})
    assert reads == [1]


def test_what_is_gone_on_with_stays_until_another_was_read(tmp_path, monkeypatch):
    """As where a library was replaced between two starts."""
    import numpy as np

    from ifnas_jax.runtime import checkpoint

    tree, read = {"a": np.ones(2, np.float32)}, checkpoint._read
    with closing(Checkpoints(tmp_path)) as checkpoints:
        checkpoints.save(1, tree, {})

    def lost(manager, step, like, check):
        if step > 1:
            raise ValueError("there is nothing")
        return read(manager, step, like, check)

    monkeypatch.setattr(checkpoint, "_read", lost)
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.restore(tree)[0] == 1
    with pytest.raises(StorageError, match=r"first checkpoint .* can't be read"):
        checkpoints.save(2, tree, {})
    checkpoints.close()
    monkeypatch.undo()
    assert "1" in os.listdir(tmp_path)


def test_checkpoints_in_a_bucket(monkeypatch, tmp_path):
    import numpy as np

    root = tmp_path / "objects"
    buckets.use(monkeypatch, buckets.FolderBackend(root))
    buckets.use_for_checkpoints(monkeypatch, str(root))
    folder = f"{buckets.BUCKET}/run/checkpoints"
    for step in range(1, 5):
        tree = {"a": np.full((3, 2), step, np.float32)}
        with closing(Checkpoints(folder)) as checkpoints:
            found = checkpoints.restore(tree)
            assert (found[1]["a"][0, 0] if found else 0) == step - 1
            checkpoints.save(step, tree, {})
    assert storage.names_in(folder) == ["3", "4"]
    for file in (pathlib.Path(root) / "fake/run/checkpoints/4").rglob("*"):
        if file.is_file() and file.name != "commit_success.txt":
            file.write_bytes(b"")
    with closing(Checkpoints(folder)) as checkpoints:
        assert checkpoints.restore(tree)[0] == 3
    assert storage.names_in(folder) == ["3", "4.unreadable"]
