"""Batches: which example is in which row, as pure functions of (seed, step).

Grain reads ahead in threads of this process; its iterators keep one integer,
the index of the next batch. Close an iterator that is not read to its end
(`iterator.close()`): otherwise the batches already asked for are still
computed when the interpreter exits.
"""

import dataclasses
import functools
import os
from collections.abc import Sequence
from typing import Any

import grain
import numpy as np

from ifnas_jax.data.augment import EvalTransform, TrainTransform
from ifnas_jax.errors import InputError

Example = dict[str, Any]
Batch = dict[str, np.ndarray]
# Steps of the endless stream: more than any run takes, and still an index.
_ENDLESS = 2**62


def default_threads() -> int:
    """Reading threads for this machine: a thread a core, 16 at most."""
    return min(16, os.cpu_count() or 1)


def augmentation_rng(seed: int, epoch: int, example: int) -> np.random.Generator:
    """The generator that augments one example in one epoch.

    Philox jumps to any point of its stream at no cost: each (epoch, example)
    has 2^128 numbers of the seed's stream to itself.
    """
    return np.random.Generator(
        np.random.Philox(key=seed, counter=(0, 0, epoch, example))
    )


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


def _process_rows(batch_size: int, process_index: int, process_count: int) -> int:
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


def _read_options(num_threads: int | None) -> grain.ReadOptions:
    """As many batches ahead as threads, and at least two."""
    threads = default_threads() if num_threads is None else num_threads
    return grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(2, threads))


def train_batches(
    source: Sequence[Example],
    transform: TrainTransform,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    num_threads: int | None = None,
) -> grain.DatasetIterator:
    """Endless shuffled and augmented batches, a pure function of (seed, step).

    The rows of a step, over all processes in order, don't depend on how many
    processes there are; a batch may cross from an epoch into the next.

    Args:
        source: examples {'image': uint8 [H, W, C], 'label': int} by index.
        transform: augments one image with the generator of its seed, epoch and
            example.
        batch_size: rows B of a step over all processes.
        seed: of the order and of the augmentation, 0 or more.
        start_step: the first step to return; starting late costs nothing.
        process_index: which process this is.
        process_count: how many processes share a step's rows.
        num_threads: threads that read ahead; None takes one a core, 0 reads in
            the caller's thread.

    Returns:
        An iterator of {'image': float32 [b, H, W, C], 'label': int32 [b]} with
        b = B / process_count. Close it when done.

    Raises:
        InputError: the processes don't divide the batch, or no examples.
    """
    if not len(source):
        raise InputError(
            "the training part has no examples: lower dataset.valid_fraction."
        )
    rows = TrainRows(
        len(source),
        rows=_process_rows(batch_size, process_index, process_count),
        seed=seed,
        process=process_index,
        processes=process_count,
    )

    def load(batch: list[tuple[int, int]]) -> Batch:
        examples = [source[index] for _, index in batch]
        images = [
            transform(example["image"], augmentation_rng(seed, epoch, index))
            for example, (epoch, index) in zip(examples, batch, strict=True)
        ]
        labels = [example["label"] for example in examples]
        return {"image": np.stack(images), "label": np.array(labels, np.int32)}

    data = grain.MapDataset.source(rows).map(load)
    iterator = iter(data.to_iter_dataset(_read_options(num_threads)))
    iterator.set_state({"next_index": start_step})
    return iterator


def eval_batches(
    source: Sequence[Example],
    transform: EvalTransform,
    *,
    batch_size: int,
    process_index: int = 0,
    process_count: int = 1,
    full_only: bool = False,
    num_threads: int | None = None,
) -> grain.IterDataset:
    """Batches of every example exactly once over all processes, in order.

    Every process sees the same number of batches, so collectives can't hang.
    The last ones are padded with zeros whose mask is 0.

    Args:
        source: examples {'image': uint8 [H, W, C], 'label': int} by index.
        transform: prepares one image.
        batch_size: rows B of a step over all processes.
        process_index: which process this is.
        process_count: how many processes share a step's rows.
        full_only: leave out the examples of the last, unfilled batch: for a
            network that normalises by batch statistics, into which padding
            would leak.
        num_threads: as for `train_batches`.

    Returns:
        An iterable, which may be read again, of {'image': float32 [b, H, W, C],
        'label': int32 [b], 'mask': float32 [b]} with b = B / process_count.

    Raises:
        InputError: the processes don't divide the batch, or there is no batch.
    """
    rows = _process_rows(batch_size, process_index, process_count)
    examples = len(source)
    batches = examples // batch_size if full_only else -(-examples // batch_size)
    if not batches:
        raise InputError(
            f"the evaluated part has {examples} examples, which fill no batch of "
            f"batch_size {batch_size}: lower the batch or raise "
            "dataset.valid_fraction."
        )
    shape = transform(source[0]["image"]).shape

    def load(batch: range) -> Batch:
        images = np.zeros((rows, *shape), np.float32)
        labels = np.zeros(rows, np.int32)
        for row, index in enumerate(batch[: max(0, examples - batch.start)]):
            example = source[index]
            images[row] = transform(example["image"])
            labels[row] = example["label"]
        mask = np.array([index < examples for index in batch], np.float32)
        return {"image": images, "label": labels, "mask": mask}

    order = EvalRows(batches, rows, process_index, process_count)
    data = grain.MapDataset.source(order).map(load)
    return data.to_iter_dataset(_read_options(num_threads))
