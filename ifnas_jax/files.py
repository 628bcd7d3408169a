"""Small text files of a run: JSON, written whole or not at all, and logs of rows.

What is read is checked: a file may have been edited, or torn by a full disk.
"""

import json
import os
import reprlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from ifnas_jax.errors import InputError
from ifnas_jax.storage import SMALL, exists, in_bucket, read_bytes, write_text

_DEPTH = 20

# The types of some keys of an object; integers are floats too, but true is no number.
Fields = Mapping[str, type | tuple[type, ...]]


def to_json(value: Any) -> str:
    """The text of a JSON file."""
    return json.dumps(value, indent=1) + "\n"


def write_json(path: str | os.PathLike, value: Any) -> None:
    """`write_text` of indented JSON."""
    write_text(path, to_json(value))


def parse_json(content: bytes | str) -> Any:
    """The value of a JSON text.

    Raises:
      ValueError: it is no JSON, has a key twice, or is nested deeper than any file of
        ours, so that it might exhaust the stack of whoever walks through it.
    """
    text = content if isinstance(content, str) else content.decode("utf-8")
    try:
        data = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    level = [data]
    for _ in range(_DEPTH):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
    if level:
        raise ValueError("it is nested too deeply")
    return data


def same(first: Any, second: Any) -> bool:
    """Whether two JSON values are equal and of equal types: true is not 1, nor 1.0."""
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    return type(first) is type(second) and first == second


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ValueError(f"one of the keys {reprlib.repr(list(data))} is there twice")
    return data


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def check_object(data: Any, fields: Fields) -> dict[str, Any]:
    """The value, if it is an object that has these keys, with values of these types.

    Raises:
      ValueError: it is not.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{reprlib.repr(data)} is no object")
    for key, kinds in fields.items():
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        if key not in data:
            raise ValueError(f"{key!r} is missing")
        # By the exact type: true is an int in Python.
        if type(data[key]) not in (*kinds, *((int,) if float in kinds else ())):
            raise ValueError(f"{key!r} is {reprlib.repr(data[key])}")
    return data


def read_json(path: str | os.PathLike, fields: Fields | None = None) -> Any:
    """The value in a JSON file, which with `fields` is such an object.

    Raises:
      InputError: the file can't be read or holds something else.
    """
    path = os.fspath(path)
    try:
        data = parse_json(read_bytes(path, SMALL))
        return data if fields is None else check_object(data, fields)
    except OSError as error:
        raise InputError(
            f"{path!r} cannot be read ({error.strerror}); restore it."
        ) from error
    except ValueError as error:
        raise InputError(
            f"{path!r} is damaged ({error}); restore it, or remove it and start again."
        ) from error


def read_rows(
    path: str | os.PathLike, fields: Fields | None = None
) -> list[dict[str, Any]]:
    """The objects of a `.jsonl` file; none if it is missing.

    Each has a "step", not before the last one's, and the given fields. A last line
    without an end is being written, or was when the run was killed, and is left out;
    so are zeros at the end, which a power cut leaves for what was not on the disk yet.

    Raises:
      InputError: a line holds something else.
    """
    if not exists(path):
        return []
    *lines, _ = read_bytes(path).rstrip(b"\0").split(b"\n")
    rows, last = [], 0
    for number, line in enumerate(lines, start=1):
        try:
            row = check_object(parse_json(line), {"step": int, **(fields or {})})
            if row["step"] < last:
                raise ValueError(f"'step' is {row['step']} after {last}")
        except ValueError as error:
            raise InputError(
                f"{os.fspath(path)!r} is damaged in line {number} ({error}); restore "
                "it, or remove it to go on with an empty one."
            ) from error
        rows.append(row)
        last = row["step"]
    return rows


class RowLog:
    """Appends objects to a `.jsonl` file, each of which has a "step"."""

    def __init__(
        self,
        path: str | os.PathLike,
        last_step: int,
        keep: Callable[[dict[str, Any]], bool] = lambda row: True,
    ):
        """Cuts the file back to `last_step`, where the run goes on.

        Args:
          path: the file; made if it is missing.
          last_step: rows of later steps are removed.
          keep: which of the others stay.
        """
        rows = [r for r in read_rows(path) if r["step"] <= last_step and keep(r)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        write_text(path, text)
        self.kept = rows
        self._file = _Rewritten(path, text) if in_bucket(path) else _Appended(path)

    def write(self, row: Mapping[str, Any]) -> None:
        """Appends a row; a reader sees it at once, in a bucket within a minute."""
        self._file.write(json.dumps(row) + "\n")

    def sync(self) -> None:
        """Returns when the rows are on the disk, for what counts on them."""
        self._file.sync()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class _Appended:
    """A file of a folder, to which lines are appended."""

    def __init__(self, path: str | os.PathLike):
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115

    def write(self, line: str) -> None:
        self._file.write(line)
        self._file.flush()

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class _Rewritten:
    """A file of a bucket, in which nothing can be appended: written whole, seldom."""

    _INTERVAL = 30.0  # seconds between two, where nothing counts on it

    def __init__(self, path: str | os.PathLike, text: str):
        self._path, self._lines = path, [text]
        self._written, self._new = time.monotonic(), False

    def write(self, line: str) -> None:
        self._lines.append(line)
        self._new = True
        if time.monotonic() - self._written >= self._INTERVAL:
            self.sync()

    def sync(self) -> None:
        if self._new:
            write_text(self._path, "".join(self._lines))
            self._written, self._new = time.monotonic(), False

    def close(self) -> None:
        self.sync()
