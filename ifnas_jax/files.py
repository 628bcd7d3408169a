"""Small text files of a run: written whole or not at all, appended, cut back."""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a file whole or not at all: a kill leaves the old one, or the new."""
    temporary = f"{os.fspath(path)}.tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """`write_text` of indented JSON."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def read_json(path: str | os.PathLike) -> Any:
    """The value in a JSON file."""
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def read_rows(path: str | os.PathLike) -> list[dict[str, Any]]:
    """The objects of a `.jsonl` file; none if it is missing.

    A last line without an end is being written, or was when the run was killed, and
    is left out.
    """
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.endswith("\n")]


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
        write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
        self.kept = rows
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115

    def write(self, row: Mapping[str, Any]) -> None:
        """Appends a row; a reader sees it at once."""
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
