import gc
import itertools
import threading
import time

import numpy as np
import pytest

from ifnas_jax.data.augment import Augmented
from ifnas_jax.data.pipeline import augmentation_rng, eval_batches, train_batches
from ifnas_jax.errors import InputError, StorageError

EXAMPLES = 10


def source(examples=EXAMPLES):
    """Image i is filled with i."""
    return [
        {"image": np.full((2, 2, 1), i, np.uint8), "label": i} for i in range(examples)
    ]


def noisy(image, rng):
    return Augmented(image, np.array([rng.random()], np.float32))


def plain(image):
    return image


def take(count, **options):
    batches = train_batches(source(), noisy, seed=3, num_threads=2, **options)
    taken = list(itertools.islice(batches, count))
    batches.close()
    return taken


def same(left, right):
    return all(np.array_equal(left[key], right[key]) for key in left)


def test_every_epoch_is_a_permutation_and_they_differ():
    labels = np.concatenate([b["label"] for b in take(10, batch_size=4)])
    epochs = labels.reshape(4, EXAMPLES)

    assert (np.sort(epochs) == np.arange(EXAMPLES)).all()
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_batches_do_not_depend_on_the_number_of_processes():
    alone = take(6, batch_size=6)
    parts = [take(6, batch_size=6, process_index=p, process_count=3) for p in range(3)]

    for step, batch in enumerate(alone):
        joined = {k: np.concatenate([p[step][k] for p in parts]) for k in batch}
        assert same(batch, joined)


def test_starting_late_continues_the_same_stream():
    whole = take(9, batch_size=4)
    late = take(2, batch_size=4, start_step=7)

    assert all(same(a, b) for a, b in zip(whole[7:], late, strict=True))


def test_state_is_the_step():
    batches = train_batches(source(), noisy, batch_size=4, seed=0, start_step=10**12)
    next(batches)
    assert batches.get_state() == {"next_index": 10**12 + 1}
    batches.close()


def test_augmentation_is_keyed_by_seed_epoch_and_example():
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    draws = [augmentation_rng(*key).random() for key in keys]

    assert len(set(draws)) == len(keys)
    assert draws == [augmentation_rng(*key).random() for key in keys]


@pytest.mark.parametrize("examples", [1, 7, 8, 13])
def test_evaluation_counts_every_example_once(examples):
    counts, lengths = np.zeros(examples), []
    for process in range(2):
        batches = list(
            eval_batches(
                source(examples),
                plain,
                batch_size=4,
                process_index=process,
                process_count=2,
            )
        )
        lengths.append(len(batches))
        for batch in batches:
            assert batch["image"].shape == (2, 2, 2, 1)
            kept = batch["label"][batch["mask"] == 1]
            np.add.at(counts, kept, 1)
            assert not batch["image"][batch["mask"] == 0].any()

    assert (counts == 1).all()
    assert lengths[0] == lengths[1]


def test_full_batches_only():
    batches = eval_batches(source(), plain, batch_size=4, full_only=True)
    labels = np.concatenate([b["label"] for b in batches])

    assert labels.tolist() == list(range(8))
    # Read again, it starts again.
    assert len(list(batches)) == 2


def test_bad_batches():
    with pytest.raises(InputError, match="batch_size is 5"):
        train_batches(source(), noisy, batch_size=5, seed=0, process_count=2)
    with pytest.raises(InputError, match="no examples"):
        train_batches([], noisy, batch_size=4, seed=0)
    with pytest.raises(InputError, match="10 examples, which fill no batch"):
        eval_batches(source(), plain, batch_size=16, full_only=True)


def broken(*indices):
    """A source in which some examples can't be read."""
    return [None if e["label"] in indices else e for e in source()]


def test_the_next_readable_example_takes_the_place_of_an_unreadable_one():
    def labels(examples):
        batches = train_batches(examples, noisy, batch_size=5, seed=3)
        taken = np.concatenate([b["label"] for b in itertools.islice(batches, 4)])
        batches.close()
        return taken

    whole, damaged = labels(source()), labels(broken(2, 3, 9))
    expected = {2: 4, 3: 4, 9: 0}
    assert damaged.tolist() == [expected.get(label, label) for label in whole]


def test_an_unreadable_example_counts_nowhere_in_an_evaluation():
    batches = list(eval_batches(broken(0, 4, 9), plain, batch_size=4))
    kept = [b["label"][b["mask"] == 1].tolist() for b in batches]
    assert kept == [[1, 2, 3], [5, 6, 7], [8]]
    # A batch that is normalised by its statistics sees an image there.
    assert (batches[1]["image"][0] == 5).all()


def test_a_set_without_readable_examples_is_an_error():
    with pytest.raises(StorageError, match="100 examples in a row"):
        train_batches(broken(*range(EXAMPLES)), noisy, batch_size=5, seed=0)


class Watched(list):
    """Examples that take their time, and note who read them."""

    def __init__(self, examples):
        super().__init__(examples)
        self.readers, self.failing = [], None

    def __getitem__(self, index):
        time.sleep(0.001)
        self.readers.append(threading.get_ident())
        if index == self.failing:
            raise StorageError(f"record {index} is gone.")
        return super().__getitem__(index)


def test_threads_share_a_batch_and_read_two_more():
    large = np.zeros((256, 256, 1), np.uint8)
    watched = Watched([{"image": large, "label": 0}] * 100)
    batches = train_batches(watched, noisy, batch_size=64, seed=0, num_threads=16)
    first = next(batches)
    time.sleep(0.3)  # What would be read ahead is by now.
    assert len(first["label"]) == 64
    assert len(watched.readers) == 1 + 3 * 64  # one for the shape
    assert len(set(watched.readers)) > 4
    batches.close()


def test_what_a_thread_raises_comes_out():
    watched = Watched(source())
    batches = train_batches(watched, noisy, batch_size=5, seed=0, num_threads=2)
    next(batches)
    watched.failing = 7
    with pytest.raises(StorageError, match="record 7 is gone"):
        for _ in range(6):
            next(batches)
    batches.close()


def test_a_closed_iterator_leaves_no_thread():
    before = set(threading.enumerate())
    batches = train_batches(source(), noisy, batch_size=5, seed=0, num_threads=4)
    next(batches)
    assert set(threading.enumerate()) != before
    batches.close()
    del batches
    gc.collect()
    deadline = time.monotonic() + 10
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before
