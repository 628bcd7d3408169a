import numpy as np

from ifnas_jax.data.mnist5k import read_digits, split_rows
from ifnas_jax.data.source import open_dataset


def test_split_is_stratified_disjoint_and_always_the_same():
    _, labels = read_digits()
    split = split_rows(labels)

    assert np.bincount(labels[split["train"]]).tolist() == [400] * 10
    assert np.bincount(labels[split["test"]]).tolist() == [100] * 10
    both = np.concatenate([split["train"], split["test"]])
    assert np.array_equal(np.sort(both), np.arange(5000))
    # Fixed for good: results on the held-out digits are compared over versions.
    assert split["test"][:8].tolist() == [9, 25, 28, 31, 32, 38, 39, 42]


def test_prepared_set_holds_the_digits_of_the_file(config):
    images, labels = read_digits()
    dataset = open_dataset(config)

    def keys(pairs):
        return sorted((int(label), image.tobytes()) for image, label in pairs)

    test = [(e["image"], e["label"]) for e in dataset.test]
    rows = split_rows(labels)["test"]
    assert keys(test) == keys(zip(images[rows], labels[rows], strict=True))
