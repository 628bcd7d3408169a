"""Which example is in which row of which batch, as pure functions of (seed, step)."""

import dataclasses
import functools

import numpy as np

from ifnas_jax.errors import InputError

# Steps of the endless stream: more than any run takes, and still an index.
_ENDLESS = 2**62


class TrainRows:
    """Which examples are in which step's batch of one process.

    The endless stream is the concatenation, over epochs, of one seeded
    permutation of the examples. Step s is its rows s·B to (s + 1)·B − 1, of
    which process p takes the p-th part, b rows.
    """

    def __init__(
        self, examples: int, *, rows: int, seed: int, process: int, processes: int
    ):
        """Of each step, process `process` takes `rows` (b) rows."""
        self._examples, self._rows = examples, rows
        self._process, self._processes = process, processes

        # Threads at an epoch's border need two permutations at a time.
        @functools.lru_cache(maxsize=3)
        def permutation(epoch: int) -> np.ndarray:
            return np.random.default_rng([seed, epoch]).permutation(examples)

        self._permutation = permutation

    def __len__(self) -> int:
        return _ENDLESS

    def __getitem__(self, step: int) -> list[tuple[int, int]]:
        """The (epoch, example) of each of the b rows."""
        first = (step * self._processes + self._process) * self._rows
        places = (divmod(first + row, self._examples) for row in range(self._rows))
        return [(epoch, int(self._permutation(epoch)[at])) for epoch, at in places]


@dataclasses.dataclass(frozen=True)
class EvalRows:
    """Which examples are in which batch of one process, each example once.

    Attributes:
      batches: how many batches a process has.
      rows: rows of a batch that this process has.
      process: which process this is.
      processes: how many there are.
    """

    batches: int
    rows: int
    process: int
    processes: int

    def __len__(self) -> int:
        return self.batches

    def __getitem__(self, step: int) -> range:
        """The examples of the rows; those past the last one are padding."""
        first = (step * self.processes + self.process) * self.rows
        return range(first, first + self.rows)


def process_rows(batch_size: int, process_index: int, process_count: int) -> int:
    """Rows a process has in a batch, after checking that they come out even."""
    if not 0 <= process_index < process_count:
        raise InputError(
            f"process_index is {process_index}: give one below the number of "
            f"processes, {process_count}."
        )
    if batch_size < 1 or batch_size % process_count:
        raise InputError(
            f"batch_size is {batch_size}: give a positive multiple of the number "
            f"of processes, {process_count}."
        )
    return batch_size // process_count
