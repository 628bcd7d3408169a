"""A table of trained networks: what it answers, and its file."""

import dataclasses
import hashlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ifnas_jax import files, pareto, storage
from ifnas_jax.architecture import Architecture
from ifnas_jax.errors import InputError
from ifnas_jax.spaces import interleaving
from ifnas_jax.tabular.networks import key_of

_FACTS = {**dict.fromkeys(("stage", "nodes", "num_precursors"), int), "operators": list}
_COLUMNS = ("madds", "params", "depth", "interleaved")
# What NumPy raises on a file that is none of its own, or torn.
_DAMAGED = (KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)
_ONE = 10_000  # an accuracy of 1, as tables keep it


@dataclasses.dataclass(frozen=True)
class Row:
    """What a table knows of a network.

    Attributes:
      key: of `key_of`.
      madds: multiply-adds for one image.
      params: parameters.
      depth: of the whole network.
      interleaved: pairs of connections that interleave.
      top1: accuracy on the test part, a fraction.
    """

    key: int
    madds: int
    params: int
    depth: int
    interleaved: int
    top1: float


class Table:
    """Accuracies of all networks of a small space.

    Attributes:
      facts: how it was made: space, data, recipe, command, hardware, versions.
      sha256: of its file.
      keys: of the networks, ascending.
      epochs: after which they were tested.
      seeds: with which each was trained.
    """

    def __init__(
        self, facts: dict[str, Any], arrays: dict[str, np.ndarray], sha256: str = ""
    ):
        self.facts, self.sha256 = facts, sha256
        self.keys, self._top1 = arrays["keys"], arrays["top1"]
        self._columns = {name: arrays[name] for name in _COLUMNS}
        self.epochs = tuple(arrays["epochs"].tolist())
        self.seeds = tuple(arrays["seeds"].tolist())
        self._place = {key: place for place, key in enumerate(self.keys.tolist())}

    def query(
        self,
        network: Architecture | int,
        epochs: int | None = None,
        seed: int | None = None,
    ) -> Row:
        """What the table knows of a network.

        Args:
          network: or its key. Of an architecture the tabulated stage counts alone.
          epochs: after which it was tested; None: the last ones.
          seed: of its training; None: the mean over all.

        Raises:
          InputError: the table has no such network, epochs or seed.
        """
        place = self._find(network)
        top1 = self._accuracies(epochs, seed, place)
        return Row(int(self.keys[place]), *self._told(place), float(top1))

    def best(
        self, madds: int, epochs: int | None = None, seed: int | None = None
    ) -> Row:
        """The most accurate network within a budget; arguments as `query`.

        Raises:
          InputError: no network is within it.
        """
        top1 = self._accuracies(epochs, seed)
        allowed = self._columns["madds"] <= madds
        if not allowed.any():
            least = int(self._columns["madds"].min())
            raise InputError(f"madds is {madds:,}; the least network has {least:,}.")
        place = int(np.where(allowed, top1, -1.0).argmax())
        return Row(int(self.keys[place]), *self._told(place), float(top1[place]))

    def front(self, epochs: int | None = None, seed: int | None = None) -> list[Row]:
        """Networks that no other one beats in both MAdds and accuracy, by MAdds."""
        rows = self.rows(epochs, seed)
        best = pareto.best(self._columns["madds"], [row.top1 for row in rows])
        front = [row for row, on in zip(rows, best.tolist(), strict=True) if on]
        return sorted(front, key=lambda row: (row.madds, row.key))

    def rank(
        self,
        network: Architecture | int,
        madds: int | None = None,
        epochs: int | None = None,
        seed: int | None = None,
    ) -> int:
        """How many networks within `madds`, or in all, are more accurate, plus one."""
        top1 = self._accuracies(epochs, seed)
        own = top1[self._find(network)]
        within = self._columns["madds"] <= (np.inf if madds is None else madds)
        return int((within & (top1 > own)).sum()) + 1

    def regret(
        self,
        network: Architecture | int,
        epochs: int | None = None,
        seed: int | None = None,
    ) -> float:
        """How much more accurate the best network is that costs no more, a fraction."""
        row = self.query(network, epochs, seed)
        return self.best(row.madds, epochs, seed).top1 - row.top1

    def accuracies(self, epochs: int | None = None) -> np.ndarray:
        """Fractions of each training, [networks, seeds], by key."""
        return self._top1[:, :, self._test(epochs)] / _ONE

    def madds(self) -> np.ndarray:
        """Of each network, [networks], by key."""
        return self._columns["madds"].copy()

    def rows(self, epochs: int | None = None, seed: int | None = None) -> list[Row]:
        """All networks, by key."""
        top1 = self._accuracies(epochs, seed).tolist()
        return [
            Row(key, *self._told(place), top1[place])
            for place, key in enumerate(self.keys.tolist())
        ]

    def _told(self, place: int) -> list[int]:
        return [int(self._columns[name][place]) for name in _COLUMNS]

    def _find(self, network: Architecture | int) -> int:
        key = network
        if isinstance(network, Architecture):
            stage = self.facts["stage"]
            names = network.space.operators
            if network.space.has_cells or list(names) != self.facts["operators"]:
                raise InputError(
                    f"the network is of {network.space.name!r} with {list(names)}, but "
                    f"the table is of 'lchain' with {self.facts['operators']}."
                )
            key = key_of(network.stages[stage], names)
        if key not in self._place:
            raise InputError(
                f"the table has no network of key {key}; it has those of "
                f"{self.facts['nodes']} nodes with {self.facts['num_precursors']} "
                f"precursors in stage {self.facts['stage'] + 1}."
            )
        return self._place[key]

    def _accuracies(
        self, epochs: int | None, seed: int | None, place: int | slice = slice(None)
    ) -> np.ndarray:
        """Fractions, [networks], or that of one."""
        own = self._top1[place, :, self._test(epochs)] / _ONE
        if seed is None:
            return own.mean(axis=-1)
        _check_known("seed", seed, self.seeds)
        return own[..., self.seeds.index(seed)]

    def _test(self, epochs: int | None) -> int:
        """Which test is the one after some epochs; None: the last one."""
        epochs = self.epochs[-1] if epochs is None else epochs
        _check_known("epochs", epochs, self.epochs)
        return self.epochs.index(epochs)


def _check_known(name: str, value: int, known: Sequence[int]) -> None:
    if value not in known:
        raise InputError(f"{name} is {value}; the table has {list(known)}.")


def save(
    path: str | os.PathLike,
    facts: dict[str, Any],
    found: Sequence[tuple[int, Architecture]],
    top1: np.ndarray,
    seeds: Sequence[int],
    epochs: Sequence[int],
) -> None:
    """Writes a table, whole or not at all; the same bytes for the same arguments.

    Args:
      path: of the file.
      facts: as `Table.facts`: "stage", "nodes", "num_precursors", "operators" at least.
      found: of `networks`.
      top1: fractions, [networks, seeds, epochs].
      seeds: of the second axis.
      epochs: of the third.
    """
    costs = [network.cost() for _, network in found]
    arrays = {
        "keys": np.array([key for key, _ in found], np.int64),
        "madds": np.array([own.madds for own in costs], np.int64),
        "params": np.array([own.params for own in costs], np.int64),
        "depth": np.array([network.depth() for _, network in found], np.int16),
        "interleaved": np.array([_interleaved(x) for _, x in found], np.int16),
        "top1": np.round(np.asarray(top1) * _ONE).astype(np.uint16),
        "seeds": np.array(seeds, np.int32),
        "epochs": np.array(epochs, np.int32),
        "facts": np.frombuffer(json.dumps(facts, sort_keys=True).encode(), np.uint8),
    }
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    storage.write_bytes(path, content.getvalue())


def _interleaved(network: Architecture) -> int:
    count = interleaving.count_interleaved
    return sum(count((e.src, e.dst) for e in s.edges) for s in network.stages)


def load(path: str | os.PathLike) -> Table:
    """Reads a table.

    Raises:
      InputError: it can't be read, or is none.
    """
    try:
        content = storage.read_bytes(path, storage.SMALL)
        with np.load(io.BytesIO(content)) as file:
            arrays = dict(file)
        facts = json.loads(bytes(arrays.pop("facts")))
        files.check_object(facts, _FACTS)
        return Table(facts, arrays, hashlib.sha256(content).hexdigest())
    except OSError as error:
        raise InputError(
            f"table {os.fspath(path)!r} cannot be read ({error.strerror}); name a file "
            "that benchmarks.tabular has written."
        ) from error
    except _DAMAGED as error:
        raise InputError(
            f"table {os.fspath(path)!r} is damaged, or none ({error}); restore it."
        ) from error
