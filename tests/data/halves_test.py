"""The two halves of the training part, alone and as batches of a bi-level search."""

from collections.abc import Sequence
from contextlib import closing

import numpy as np
import pytest

from ifnas_jax import config as config_lib
from ifnas_jax.data.halves import halves
from ifnas_jax.data.source import Dataset
from ifnas_jax.errors import InputError
from ifnas_jax.searching.step import make_batches

EXAMPLES, BATCH = 41, 4


class Numbered(Sequence):
    """Examples whose label and pixels are their index."""

    def __len__(self):
        return EXAMPLES

    def __getitem__(self, index):
        image = np.full((8, 8, 1), index, np.uint8)
        return {"image": image, "label": index}


DATASET = Dataset(EXAMPLES, Numbered(), Numbered(), Numbered())


def labels_of(part):
    return [example["label"] for example in part]


@pytest.mark.parametrize("count", [2, 3, 40, 41])
def test_every_example_is_in_one_half(count):
    first, second = halves(range(count), seed=0)
    assert (len(first), len(second)) == (count // 2, count - count // 2)
    assert sorted([*first, *second]) == list(range(count))


def test_the_seed_draws_the_halves():
    ours, again, other = (labels_of(halves(Numbered(), s)[0]) for s in (3, 3, 4))
    assert ours == again
    assert set(ours) != set(other)
    # Not the first ones, nor the first ones of the order of the first epoch.
    assert set(ours) != set(range(len(ours)))
    epoch = np.random.default_rng([3, 0]).permutation(EXAMPLES)
    assert set(ours) != set(epoch[: len(ours)].tolist())


def test_one_example_cannot_be_halved():
    with pytest.raises(InputError, match=r"lower dataset\.valid_fraction"):
        halves(range(1), seed=0)


def make_config(seed=0):
    config = config_lib.default("mnist5k")
    config.seed = seed
    config.search.batch_size = BATCH
    # So that an image is still its example's.
    config.dataset.update(image_size=8, padding=0, flip=False, num_classes=EXAMPLES)
    return config


def read(count, order, step=0, seed=0):
    """Batches from a step on, each as {part: labels}, devices' rows in one."""
    rows = []
    with closing(make_batches(make_config(seed), DATASET, order, step)) as batches:
        for _ in range(count):
            batch = next(batches)
            parts = {"weights": batch}
            if "arch" in batch:
                parts["arch"] = batch["arch"]
            row = {}
            for name, part in parts.items():
                row[name] = part["label"].reshape(-1).tolist()
                pixels = part["image"].reshape(BATCH, -1)
                np.testing.assert_array_equal(pixels.min(axis=1), row[name])
                np.testing.assert_array_equal(pixels.max(axis=1), row[name])
            rows.append(row)
    return rows


@pytest.mark.parametrize("order", [1, 2])
def test_weights_and_architecture_never_see_each_others_examples(order):
    ours, theirs = (set(labels_of(half)) for half in halves(Numbered(), 0))
    rows = read(17, order)  # three epochs of a half, and more
    for name, half in (("weights", ours), ("arch", theirs)):
        seen = [label for row in rows for label in row[name]]
        assert set(seen) == half
        # Each example comes once an epoch.
        for epoch in range(3):
            part = seen[epoch * len(half) : (epoch + 1) * len(half)]
            assert sorted(part) == sorted(half)
        assert seen[: len(half)] != seen[len(half) : 2 * len(half)]


def test_both_streams_go_on_at_a_step():
    assert read(3, 1, step=9) == read(12, 1)[9:]
    assert read(2, 1) != read(2, 1, seed=1)


def test_a_one_level_method_sees_everything_in_one_batch():
    rows = read(11, 0)
    assert all(set(row) == {"weights"} for row in rows)
    seen = [label for row in rows for label in row["weights"]]
    assert sorted(seen[:EXAMPLES]) == list(range(EXAMPLES))
