"""Inputs from outside, drawn at random; `python -m benchmarks.fuzz` draws more."""

import json
import subprocess
import sys

import pytest

from benchmarks.fuzz import (
    architectures,
    configs,
    folders,
    harness,
    images,
    labels,
    logs,
    paths,
    shapes,
    workdirs,
)

# A good part of each kind is accepted: refusing everything would prove nothing.
KINDS = [
    (configs, 200, 0.3),
    (architectures, 250, 0.2),
    (paths, 60, 0.3),
    (workdirs, 100, 0.3),
    (logs, 300, 0.3),
    (images, 300, 0.3),
    (labels, 200, 0.3),
    (shapes, 60, 1.0),
    (folders, 40, 0.3),
]
NAMES = [kind.__name__.rpartition(".")[2] for kind, *_ in KINDS]


@pytest.mark.parametrize(("kind", "cases", "share"), KINDS, ids=NAMES)
def test_each_input_is_refused_in_a_sentence_or_taken_rightly(kind, cases, share):
    tally = harness.run(kind, cases, seed=0)
    assert tally.total() >= cases
    assert tally["accepted"] >= share * cases


def test_checkpoints_by_the_command(tmp_path):
    # In a process of its own: of torn arrays, Orbax leaves some reads unfinished, whose
    # errors it drops on the floor.
    path = tmp_path / "fuzz.json"
    command = ["-W", "error", "-m", "benchmarks.fuzz", "--kind=checkpoints"]
    done = subprocess.run(
        [sys.executable, *command, "--cases=800", f"--json={path}"], capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    record = json.loads(path.read_text())
    assert (record["failures"], record["cases"] >= 40) == (0, True)
    assert record["kinds"][0]["accepted"] > 5
