"""Logs of a run: lines with faults, and files with torn bytes.

A case is the bytes of a log, whether it is one of candidates, and the step at which
the run goes on. It is refused, or what is kept is every whole line up to that step.
"""

import json
import os
import tempfile
from contextlib import closing

from hypothesis import strategies as st

from benchmarks.fuzz.faults import faulty, faulty_bytes, parse
from benchmarks.fuzz.harness import check_sentence
from ifnas_jax import files
from ifnas_jax.errors import InputError
from ifnas_jax.report.logs import CandidateLog


@st.composite
def _cases(draw):
    candidates = draw(st.booleans())
    if candidates:
        count = draw(st.integers(1, 5))
        rows = [{"step": step, "valid_accuracy": step / 8} for step in range(count)]
    else:
        steps = sorted(draw(st.lists(st.integers(0, 9), min_size=1, max_size=5)))
        rows = [{"step": step, "loss": step / 7, "group": None} for step in steps]
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        rows = draw(faulty(rows))
    lines = rows if isinstance(rows, list) else [rows]
    content = "".join(json.dumps(row) + "\n" for row in lines).encode()
    if draw(st.integers(0, 2)) == 0:
        content = draw(faulty_bytes(content))
    return content, candidates, draw(st.integers(0, 9))


CASES = _cases()
# Each left a traceback, or went on with what is not there.
PINNED = [
    (b'{"step": 1}\nno JSON\n{"step": 2}\n', False, 2),
    (b'{"step": 1}\n\xff\xfe\n', False, 1),
    (b'{"loss": 1}\n', False, 1),
    (b'{"step": true}\n', False, 1),
    (b'{"step": "1"}\n', False, 1),
    (b"[1]\n", False, 1),
    (b"\n", False, 1),
    (b"[" * 100_000 + b"\n", False, 1),
    # A line is missing in between: the next accuracies would be another's.
    (
        b'{"step": 0, "valid_accuracy": 0.5}\n{"step": 2, "valid_accuracy": 0.5}\n',
        True,
        1,
    ),
    (b'{"step": 0, "accuracy": 0.5}\n', True, 1),
]


def check(case) -> bool:
    """Whether a log is gone on with; asserts that this is right, and what is kept."""
    content, candidates, last = case
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "candidates.jsonl")
        with open(path, "wb") as file:
            file.write(content)
        try:
            if candidates:
                with closing(CandidateLog(path)) as log:
                    found = [*log.accuracies]
            else:
                with closing(files.RowLog(path, last)) as log:
                    found = log.kept
        except InputError as error:
            check_sentence(error, [path])
            found = None
        with open(path, "rb") as file:
            after = file.read()
    rows = _rows(content, candidates)
    assert (rows is None) == (found is None), content
    if rows is None:
        assert after == content
        return False
    if candidates:
        assert found == [row["valid_accuracy"] for row in rows]
    else:
        rows = [row for row in rows if row["step"] <= last]
        assert found == rows
    assert [parse(line) for line in after.splitlines()] == rows
    return True


def _rows(content: bytes, candidates: bool) -> list | None:
    """The rows of whole lines; None if one of them is not what a run writes."""
    rows = []
    for line in content.split(b"\n")[:-1]:
        try:
            row = parse(line)
        except (ValueError, RecursionError):
            return None
        if not isinstance(row, dict) or type(row.get("step")) is not int:
            return None
        if row["step"] < (rows[-1]["step"] if rows else 0):
            return None
        if candidates and type(row.get("valid_accuracy")) not in (int, float):
            return None
        rows.append(row)
    if candidates and [row["step"] for row in rows] != list(range(len(rows))):
        return None
    return rows
