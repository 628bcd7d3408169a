"""Checkpoints: faults of their facts, and torn bytes in any of their files.

A case is a file of the newer of two checkpoints and its new content: bytes, what to
change in the parts of its JSON object, or None if it is removed. What is restored is
one of the two, arrays and facts, to the byte; or an `InputError` says that there is
none.
"""

import atexit
import functools
import json
import pathlib
import shutil
import tempfile
from contextlib import closing

import numpy as np
from hypothesis import strategies as st

from benchmarks.fuzz.faults import faulty, faulty_bytes, same
from benchmarks.fuzz.harness import check_sentence
from ifnas_jax.errors import InputError
from ifnas_jax.runtime.checkpoint import Checkpoints

_FACTS_FILE = "facts/metadata"
FACTS = {
    step: {"seconds": step / 2, "compile_seconds": 1.5, "strength": [0.25, step / 8]}
    for step in (1, 2)
}


def _tree(step: int):
    """Arrays of the kinds that a run saves."""
    return {
        "state": {"params": np.full((3, 2), step, np.float32), "step": np.int32(step)},
        "kept": (np.array([True, False]),),
    }


@functools.cache
def _saved() -> pathlib.Path:
    """A folder with two checkpoints, which is copied for each case."""
    folder = pathlib.Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    with closing(Checkpoints(folder)) as checkpoints:
        for step, facts in FACTS.items():
            checkpoints.save(step, _tree(step), facts)
    return folder


def _names() -> list[str]:
    newest = _saved() / "2"
    found = [path for path in newest.rglob("*") if path.is_file()]
    return sorted(str(path.relative_to(newest)) for path in found)


@st.composite
def _cases(draw):
    # Half of them in the facts, which are what a run goes on by.
    name = draw(st.just(_FACTS_FILE) | st.sampled_from(_names()))
    content = (_saved() / "2" / name).read_bytes()
    kind = draw(st.integers(0, 9))
    if kind == 9:
        return name, None
    if name == _FACTS_FILE and kind > 2:
        return name, json.dumps(draw(faulty(json.loads(content)))).encode()
    return name, content if kind < 2 else draw(faulty_bytes(content))


CASES = st.deferred(_cases)
# Each was gone on with as if the run had written it, or left a traceback.
PINNED = [
    (_FACTS_FILE, content)
    for content in (
        {"facts": {"seconds": 7.5}},
        {"facts": {"seconds": "1.0"}},
        {"facts": {"strength": [0.5, 0.25]}},
        {"facts": {"strength": [0.25, 0.25, 0.25]}},
        {"facts": {"seconds": 7.5}, "checksums": {"facts": None}},
        b"[]",
        b"3",
        b"",
    )
]


def _changed(stored: dict, changes: dict) -> dict:
    """The JSON object with other values of keys that are there, in each named part."""
    for part, change in changes.items():
        for key, value in change.items():
            assert not same(stored[part][key], value), (part, key)
            stored[part][key] = value
    return stored


def check(case) -> bool:
    """Whether the run goes on at the newer checkpoint; asserts what is restored."""
    name, content = case
    with tempfile.TemporaryDirectory() as parent:
        folder = pathlib.Path(parent) / "checkpoints"
        shutil.copytree(_saved(), folder)
        path = folder / "2" / name
        if content is None:
            path.unlink()
        elif isinstance(content, dict):
            stored = json.loads(path.read_bytes())
            path.write_text(json.dumps(_changed(stored, content)))
        else:
            path.write_bytes(content)
        try:
            with closing(Checkpoints(folder)) as checkpoints:
                restored = checkpoints.restore(_tree(0))
        except InputError as error:
            check_sentence(error, [str(folder)])
            return False
    assert restored is not None, case
    step, tree, facts = restored
    assert same(facts, FACTS[step]), (facts, case)
    np.testing.assert_equal(tree, _tree(step), str(case))
    return step == 2
