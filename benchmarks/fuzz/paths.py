"""Paths: what a flag may name, and folders whose names libraries take for patterns.

A case is the value of a flag. It is refused by an `InputError` of one sentence that
names the flag, or a checkpoint and a log that are written there are read from there.
"""

import os
import pathlib
import re
import tempfile
from contextlib import closing

import numpy as np
from hypothesis import strategies as st

from benchmarks.fuzz.harness import check_sentence
from ifnas_jax import files, storage
from ifnas_jax.errors import InputError
from ifnas_jax.runtime.checkpoint import Checkpoints

_PIECES = (
    *("a", "seed", "run.1", "ä", " ", "%20", "#", "'", '"', "\\", "\n", "\t", "\0"),
    *("[", "]", "*", "?", "!", "{", "}", "[1]", "**", "~", "~root", "$HOME", "-"),
    *("/", "//", ".", "..", ":", "://", "gs:", "gs://", "s3://", "file://", "/gs/"),
)
CASES = st.lists(st.sampled_from(_PIECES), max_size=6).map("".join)
# Each was taken, and led to a folder of that name or to what could not be read.
PINNED = [
    *("seed[1]", "[", "a*b?", "gs://b/a", "s3://b/a", "file:///a", "gs:/b/a"),
    *("gs://b/[1]", "gs://", "logs:", "~nobody-has-this-name", "/s3/a", ""),
]


def check(case: str) -> bool:
    """Whether a path is accepted; asserts that what is written there can be read."""
    plain = re.fullmatch(r"[^~:/\\\0][^:\\\0]*", case)
    try:
        path = storage.named("--out", case, checkpoints=True)
    except InputError as error:
        check_sentence(error, ["--out"])
        assert not plain, case
        return False
    if storage.in_bucket(path):
        assert path.startswith("gs://") and not set(path) & set("*?[]#")
        return True
    assert not plain or path == case
    assert not re.match(r"[a-zA-Z]\w*:/", path) and not path.startswith("~")
    if not os.path.isabs(path) and ".." not in path:
        with tempfile.TemporaryDirectory() as root:
            _check_written(pathlib.Path(root) / path)
    return True


def _check_written(folder: pathlib.Path) -> None:
    tree = {"a": np.arange(6, dtype=np.float32).reshape(3, 2)}
    with closing(Checkpoints(folder / "checkpoints")) as checkpoints:
        checkpoints.save(1, tree, {})
    with closing(Checkpoints(folder / "checkpoints")) as checkpoints:
        step, restored, _ = checkpoints.restore(tree)
    assert step == 1
    np.testing.assert_equal(restored, tree)
    with closing(files.RowLog(folder / "x.jsonl", 0)) as log:
        log.write({"step": 1})
    assert files.read_rows(folder / "x.jsonl") == [{"step": 1}]
    assert storage.names_in(folder) == ["checkpoints", "x.jsonl"]
