"""What came out of a sweep's cells, asked for by setting and network."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ifnas_jax.architecture import Architecture
from ifnas_jax.experiments.cells import Place, architecture_of
from ifnas_jax.experiments.settings import SEARCH, Cell, Setting

Row = Mapping[str, Any]


class Results:
    """The rows of an experiment's cells.

    Attributes:
      rows: as their files have them, in the order of settings and seeds.
      labels: of all settings, also of those of which nothing is done.
      scale: "proxy" or "paper".
      place: where the runs are, for figures that need more than their rows.
    """

    def __init__(
        self, rows: Sequence[Row], settings: Sequence[Setting], scale: str, place: Place
    ):
        self.rows = list(rows)
        self.labels = [own.label for own in settings]
        self.scale = scale
        self.place = place
        self._settings = {own.label: own for own in settings}

    def setting(self, label: str) -> Setting:
        """The setting with a label."""
        return self._settings[label]

    def cell(self, label: str, seed: int, what: str = SEARCH) -> Cell:
        """A setting's cell."""
        return Cell(self._settings[label], seed, what)

    def of(self, label: str, what: str = SEARCH) -> list[Row]:
        """Rows of one setting that did not fail, by seed."""
        return [
            row
            for row in self.rows
            if (row["setting"], row["what"]) == (label, what) and "failed" not in row
        ]

    def networks(self, label: str, what: str, field: str) -> list[float]:
        """A number of what each search found, or of what was trained in its place."""
        found = [row["networks"][what] for row in self.of(label)]
        return [own[field] for own in found or self.of(label, what)]

    def trained(self, label: str, what: str, field: str = "top1") -> list[float]:
        """A number of each network that was trained."""
        return [row[field] for row in self.of(label, what)]

    def architecture(self, row: Row, what: str) -> Architecture:
        """A network that a search found."""
        config = self.setting(row["setting"]).config
        return architecture_of(row["networks"][what], config)

    def failures(self) -> list[str]:
        """What went wrong, in words."""
        return [
            f"{row['setting']}, seed {row['seed']}, {row['what']}: {row['failed']}"
            for row in self.rows
            if "failed" in row
        ]

    def seconds(self) -> float:
        """That all cells took together, over all of their starts."""
        return sum(map(_seconds, self.rows))


def _seconds(row: Row) -> float:
    """Of a cell: those of its run, or of a study, or its share of many seeds'."""
    if row.get("lanes", 1) > 1:
        return row["seconds"]
    names = ("search_seconds", "retrain_seconds", "compile_seconds")
    own = [row[name] for name in names if row.get(name) is not None]
    return max(sum(own), row["seconds"])


def distinct(values: Iterable[Any]) -> list[str]:
    """Each value once, in the order of the first, as text."""
    return list(dict.fromkeys(map(str, values)))
