"""Every network of a small L-chain, trained: a table in place of training.

The networks are those of one stage with few nodes, each once: nodes that nothing reads
are left out, and the others numbered anew. The stages around it are plain chains. A
network's key is an integer, one bit for each (connection, operator), so an answer takes
microseconds; needs no JAX. `docs/tabular.md` says how a table was made, and its limits.
"""

import dataclasses
import io
import itertools
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ifnas_jax import files, pareto, storage
from ifnas_jax.architecture import Architecture, KeptStage, from_kept
from ifnas_jax.architecture.cost import Macro
from ifnas_jax.errors import InputError
from ifnas_jax.spaces import interleaving
from ifnas_jax.spaces.graph import Space

_FACTS = {**dict.fromkeys(("stage", "nodes", "num_precursors"), int), "operators": list}
# What the stages around the tabulated one keep on their direct connections.
_AROUND = "sep_conv_3x3"
_COLUMNS = ("madds", "params", "depth", "interleaved")
# What NumPy raises on a file that is none of its own, or torn.
_DAMAGED = (KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)
_ONE = 10_000  # an accuracy of 1, as tables keep it


def key_of(stage: KeptStage, operators: Sequence[str]) -> int:
    """The key of what a stage keeps; mirror images of each other have two.

    Connections count by destination, then by source: (0, 1), (0, 2), (1, 2), (0, 3) and
    so on, of the nodes that are left, numbered in their order; each has a bit an
    operator.

    Args:
      stage: of a chain.
      operators: of the space.
    """
    number = {node: index for index, node in enumerate((0, *stage.nodes()))}
    key = 0
    for edge in stage.edges:
        src, dst = number[edge.src], number[edge.dst]
        place = dst * (dst - 1) // 2 + src
        for op in edge.ops:
            key |= 1 << (place * len(operators) + operators.index(op))
    return key


def networks(
    space: Space, macro: Macro, stage: int
) -> Iterator[tuple[int, Architecture]]:
    """Every distinct network of one stage of a chain: (key, network), by key.

    Args:
      space: a chain.
      macro: the sizes of networks.
      stage: which stage is tabulated, from 0; the others are plain chains.
    """
    graph = space.stages[stage]
    count = len(space.operators)
    options = list(itertools.product((False, True), repeat=count))
    found: dict[int, Architecture] = {}
    around = [full & (np.arange(full.shape[1]) == 0)[:, None] for full in space.full()]
    plain = [kept & [name == _AROUND for name in space.operators] for kept in around]
    for chosen in itertools.product(options, repeat=len(graph.edges())):
        kept = np.zeros((*graph.valid().shape, count), bool)
        for (src, dst), ops in zip(graph.edges(), chosen, strict=True):
            kept[dst - 1, dst - src - 1] = ops
        if not _is_whole(kept):
            continue
        network = from_kept(space, [*plain[:stage], kept, *plain[stage + 1 :]], macro)
        found.setdefault(key_of(network.stages[stage], space.operators), network)
    yield from sorted(found.items())


def _is_whole(kept: np.ndarray) -> bool:
    """Whether the last node, and every node that is read, has an input; [N, L, ops]."""
    edges = kept.any(axis=2)
    read = {len(edges)}
    for node in range(len(edges), 0, -1):
        if node in read:
            sources = node - 1 - np.flatnonzero(edges[node - 1])
            if not len(sources):
                return False
            read |= set(sources.tolist())
    return True


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
      keys: of the networks, ascending.
      epochs: after which they were tested.
      seeds: with which each was trained.
    """

    def __init__(self, facts: dict[str, Any], arrays: dict[str, np.ndarray]):
        self.facts = facts
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
        epochs = self.epochs[-1] if epochs is None else epochs
        for name, value, known in (
            ("epochs", epochs, self.epochs),
            ("seed", seed, (None, *self.seeds)),
        ):
            if value not in known:
                raise InputError(f"{name} is {value}; the table has {list(known)}.")
        own = self._top1[place, :, self.epochs.index(epochs)] / _ONE
        return own.mean(axis=-1) if seed is None else own[..., self.seeds.index(seed)]


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
        with np.load(io.BytesIO(storage.read_bytes(path, storage.SMALL))) as file:
            arrays = dict(file)
        facts = json.loads(bytes(arrays.pop("facts")))
        files.check_object(facts, _FACTS)
        return Table(facts, arrays)
    except OSError as error:
        raise InputError(
            f"table {os.fspath(path)!r} cannot be read ({error.strerror}); name a file "
            "that benchmarks.tabular has written."
        ) from error
    except _DAMAGED as error:
        raise InputError(
            f"table {os.fspath(path)!r} is damaged, or none ({error}); restore it."
        ) from error
