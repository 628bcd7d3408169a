import errno
import os
import shutil

import numpy as np
import pytest

from ifnas_jax.errors import DivergedError, InputError, StorageError
from ifnas_jax.runtime.checkpoint import Checkpoints


def tree(value):
    return {"a": np.full((3, 2), value, np.float32), "b": (np.array([True, False]),)}


@pytest.fixture
def saved(tmp_path):
    """Checkpoints of steps 1 to 4, of which two are kept."""
    checkpoints = Checkpoints(tmp_path)
    for step in range(1, 5):
        checkpoints.save(step, tree(step), {"seconds": step / 2})
    checkpoints.close()
    return tmp_path


def restore(path, **kwargs):
    checkpoints = Checkpoints(path)
    try:
        return checkpoints.restore(tree(0), **kwargs)
    finally:
        checkpoints.close()


def break_step(path, step):
    for file in (path / str(step)).rglob("*"):
        if file.is_file():
            file.write_bytes(b"")


def test_the_newest_comes_back_whole(saved):
    step, restored, facts = restore(saved)
    assert step == 4
    assert facts["seconds"] == 2
    assert restored["a"].tobytes() == tree(4)["a"].tobytes()
    assert restored["b"][0].tolist() == [True, False]


def test_nothing_yet_is_none(tmp_path):
    assert restore(tmp_path) is None


def test_unreadable_ones_are_set_aside_again_and_again(saved):
    break_step(saved, 4)
    assert restore(saved)[0] == 3
    checkpoints = Checkpoints(saved)
    checkpoints.save(4, tree(4), {})
    checkpoints.close()
    break_step(saved, 4)
    assert restore(saved)[0] == 3
    assert (saved / "4.unreadable").is_dir()
    assert (saved / "4.unreadable1").is_dir()


def test_none_readable_is_said_and_not_passed_over(saved):
    break_step(saved, 3)
    break_step(saved, 4)
    for _ in range(2):
        with pytest.raises(InputError, match="none of the checkpoints"):
            restore(saved)
    for path in saved.glob("*.unreadable"):
        shutil.rmtree(path)
    assert restore(saved) is None


def test_a_storage_that_fails_leaves_the_checkpoints_alone(saved, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("ifnas_jax.runtime.checkpoint._read", fail)
    with pytest.raises(StorageError, match=r"cannot read .*Input/output error"):
        restore(saved)
    monkeypatch.undo()
    assert restore(saved)[0] == 4


def test_what_the_system_says_is_found_in_what_tensorstore_raises(saved, monkeypatch):
    """A storage that can't be read just now says nothing of what is in it."""

    def fail(*_):
        raise ValueError("Error reading file: [os_error_code='5'] [spec='...']")

    monkeypatch.setattr("ifnas_jax.runtime.checkpoint._read", fail)
    with pytest.raises(StorageError, match=r"cannot read .*\(Input/output error\)"):
        restore(saved)
    monkeypatch.undo()
    assert restore(saved)[0] == 4


def test_another_runs_checkpoint_is_refused_and_left(saved):
    def check(facts):
        raise InputError("of something else")

    with pytest.raises(InputError, match="of something else"):
        restore(saved, check=check)
    assert restore(saved)[0] == 4


def test_a_state_that_is_not_finite_is_never_saved(saved):
    checkpoints = Checkpoints(saved)
    with pytest.raises(DivergedError, match="after step 5"):
        checkpoints.save(5, tree(np.inf), {})
    checkpoints.close()
    assert restore(saved)[0] == 4
