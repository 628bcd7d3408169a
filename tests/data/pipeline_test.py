import itertools

import numpy as np
import pytest

from ifnas_jax.data.pipeline import augmentation_rng, eval_batches, train_batches
from ifnas_jax.errors import InputError

EXAMPLES = 10


def source(examples=EXAMPLES):
    """Image i is filled with i."""
    return [
        {"image": np.full((2, 2, 1), i, np.uint8), "label": i} for i in range(examples)
    ]


def noisy(image, rng):
    return (image + rng.random()).astype(np.float32)


def plain(image):
    return image.astype(np.float32)


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
