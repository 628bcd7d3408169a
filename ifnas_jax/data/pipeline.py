"""Batches: decoded, augmented and read ahead; pure functions of (seed, step).

Grain keeps two batches ahead; its iterators keep one integer, the index of the next
batch. A batch is filled in place by a pool of threads, a few rows each: so memory
is that of three batches on any machine, and all cores work on the first one.
Close an iterator that is not read to its end (`iterator.close()`): otherwise the
batches already asked for are still computed when the interpreter exits.
"""

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grain
import numpy as np

from ifnas_jax.data.augment import EvalTransform, TrainTransform
from ifnas_jax.data.order import EvalRows, TrainRows, process_rows
from ifnas_jax.errors import InputError, StorageError

Example = dict[str, Any]
Batch = dict[str, np.ndarray]
# Batches that are read ahead of the one that was asked for.
_AHEAD = 2
# Bytes of images that a thread fills at a time: three images of ImageNet, and batches
# of small ones, whose examples take less time than handing them out.
_TASK_BYTES = 2**21
# Unreadable examples in a row after which a set is taken for broken.
_MOST_UNREADABLE = 100


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


def _next_readable(source: Sequence[Example | None], index: int) -> Example:
    """The first example from an index on that can be read.

    Raises:
      StorageError: there is none nearby.
    """
    for at in range(index, index + _MOST_UNREADABLE):
        example = source[at % len(source)]
        if example is not None:
            return example
    raise StorageError(
        f"{_MOST_UNREADABLE} examples in a row, from {index} on, can't be decoded: "
        "prepare the data set again from whole files."
    )


def _empty(rows: int, image: np.ndarray) -> Batch:
    images = np.empty((rows, *image.shape), image.dtype)
    return {"image": images, "label": np.zeros(rows, np.int32)}


def _filled_batches(
    steps: Sequence,
    fill: Callable[[Batch, int, Sequence], None],
    allocate: Callable[[], Batch],
    num_threads: int | None,
) -> grain.IterDataset:
    """Batches that threads fill in place.

    Args:
      steps: of each batch, what its rows are filled with.
      fill: fills a batch from a row on, with as many items of its step.
      allocate: makes an empty batch.
      num_threads: None takes one a core, 0 works in the caller's thread.
    """
    threads = default_threads() if num_threads is None else num_threads
    # Idle threads end when the last iterator is gone, and the pool with it.
    pool = ThreadPoolExecutor(threads, "ifnas-data") if threads else None

    def load(items: Sequence) -> Batch:
        batch = allocate()
        count = max(1, _TASK_BYTES // batch["image"][0].nbytes)
        firsts = range(0, len(items), count)
        if pool is None or len(firsts) == 1:
            fill(batch, 0, items)
            return batch
        tasks = [
            pool.submit(fill, batch, first, items[first : first + count])
            for first in firsts
        ]
        for task in tasks:
            task.result()  # Raises what it raised.
        return batch

    ahead = _AHEAD if threads else 0
    options = grain.ReadOptions(num_threads=ahead, prefetch_buffer_size=_AHEAD)
    return grain.MapDataset.source(steps).map(load).to_iter_dataset(options)


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
      source: examples {'image': uint8 [H, W, C], 'label': int} by index; for one
          that is None, the next one takes its place.
      transform: cuts one image with the generator of its seed, epoch and example,
          and draws what else changes it.
      batch_size: rows B of a step over all processes.
      seed: of the order and of the augmentation, 0 or more.
      start_step: the first step to return; starting late costs nothing.
      process_index: which process this is.
      process_count: how many processes share a step's rows.
      num_threads: threads that read ahead; None takes one a core, 0 reads in
          the caller's thread.

    Returns:
      An iterator of {'image': uint8 [b, H, W, C], 'draws': float32 [b, DRAWS],
      'label': int32 [b]} with b = B / process_count. Close it when done.

    Raises:
      InputError: the processes don't divide the batch, or no examples.
      StorageError: the data can't be read; also later, by the iterator.
    """
    if not len(source):
        raise InputError(
            "the training part has no examples: lower dataset.valid_fraction."
        )
    rows = process_rows(batch_size, process_index, process_count)
    order = TrainRows(
        len(source),
        rows=rows,
        seed=seed,
        process=process_index,
        processes=process_count,
    )
    image = _next_readable(source, 0)["image"]
    example = transform(image, augmentation_rng(seed, 0, 0))

    def allocate() -> Batch:
        draws = np.empty((rows, *example.draws.shape), np.float32)
        return {**_empty(rows, example.image), "draws": draws}

    fill = functools.partial(_fill_train, source, transform, seed)
    iterator = iter(_filled_batches(order, fill, allocate, num_threads))
    iterator.set_state({"next_index": start_step})
    return iterator


def _fill_train(
    source: Sequence[Example],
    transform: TrainTransform,
    seed: int,
    batch: Batch,
    first: int,
    places: Sequence[tuple[int, int]],
) -> None:
    """Fills rows from `first` on with the examples of (epoch, index)."""
    images, draws, labels = batch["image"], batch["draws"], batch["label"]
    for row, (epoch, index) in enumerate(places, first):
        example = source[index] or _next_readable(source, index)
        rng = augmentation_rng(seed, epoch, index)
        images[row], draws[row] = transform(example["image"], rng)
        labels[row] = example["label"]


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
    The last ones are padded with zeros whose mask is 0. An example that is None has
    mask 0 too, over the image of another, which harms no batch statistics.

    Args:
      source: examples {'image': uint8 [H, W, C], 'label': int} by index.
      transform: cuts one image.
      batch_size: rows B of a step over all processes.
      process_index: which process this is.
      process_count: how many processes share a step's rows.
      full_only: leave out the examples of the last, unfilled batch: for a
          network that normalises by batch statistics, into which padding
          would leak.
      num_threads: as for `train_batches`.

    Returns:
      An iterable, which may be read again, of {'image': uint8 [b, H, W, C],
      'label': int32 [b], 'mask': float32 [b]} with b = B / process_count.

    Raises:
      InputError: the processes don't divide the batch, or there is no batch.
      StorageError: the data can't be read; also later, by an iterator.
    """
    rows = process_rows(batch_size, process_index, process_count)
    examples = len(source)
    batches = examples // batch_size if full_only else -(-examples // batch_size)
    if not batches:
        raise InputError(
            f"the evaluated part has {examples} examples, which fill no batch of "
            f"batch_size {batch_size}: lower the batch or raise "
            "dataset.valid_fraction."
        )
    image = transform(_next_readable(source, 0)["image"])

    def allocate() -> Batch:
        return {**_empty(rows, image), "mask": np.zeros(rows, np.float32)}

    fill = functools.partial(_fill_eval, source, transform)
    order = EvalRows(batches, rows, process_index, process_count)
    return _filled_batches(order, fill, allocate, num_threads)


def _fill_eval(
    source: Sequence[Example],
    transform: EvalTransform,
    batch: Batch,
    first: int,
    indices: range,
) -> None:
    """Fills rows from `first` on; those past the last example with zeros."""
    images, labels, mask = batch["image"], batch["label"], batch["mask"]
    for row, index in enumerate(indices, first):
        if index >= len(source):
            images[row:] = 0
            return
        example = source[index]
        mask[row] = example is not None
        example = example or _next_readable(source, index)
        images[row] = transform(example["image"])
        labels[row] = example["label"]
