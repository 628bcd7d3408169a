"""Parts without labels, as TFDS has them: an accuracy on them would be false."""

from contextlib import closing

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ifnas_jax.data import parts, prepare
from ifnas_jax.data.augment import train_transform
from ifnas_jax.data.pipeline import train_batches
from ifnas_jax.data.source import open_dataset
from ifnas_jax.errors import InputError

NONE = [-1] * 6
SOME = [0, 1, 2, 0, 1, 2]


class PartlyLabelled(tfds.core.GeneratorBasedBuilder):
    """Black images; `labels` of each part, of `classes` classes, are set by a test."""

    VERSION = tfds.core.Version("1.0.0")
    labels, classes = {}, 3

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(8, 8, 1)),
            "label": tfds.features.ClassLabel(num_classes=self.classes),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in self.labels}

    def _generate_examples(self, split):
        for key, label in enumerate(self.labels[split]):
            yield key, {"image": np.zeros((8, 8, 1), np.uint8), "label": label}


@pytest.fixture
def opened(tmp_path, make_config, monkeypatch):
    """A function: the set with these labels in its parts, opened."""

    def opened(test_split="", classes=3, subset=(), **labels):
        monkeypatch.setattr(PartlyLabelled, "labels", labels)
        # Records keep whatever label was written.
        monkeypatch.setattr(PartlyLabelled, "classes", 10)
        prepare.prepared_builder("partly_labelled", str(tmp_path))
        monkeypatch.setattr(PartlyLabelled, "classes", classes)
        config = make_config(
            tmp_path,
            name="partly_labelled",
            image_size=8,
            valid_fraction=0.0,
            test_split=test_split,
            classes=subset,
        )
        return open_dataset(config), config

    return opened


@pytest.mark.parametrize(
    ("labels", "taken"),
    [
        ({"test": SOME, "validation": SOME}, "test"),
        ({"test": NONE, "validation": SOME}, "validation"),
        ({"test": NONE, "val": SOME}, "val"),
        ({"validation": NONE, "val": SOME}, "val"),
    ],
)
def test_the_first_part_with_labels_is_tested_on(opened, capsys, labels, taken):
    dataset, _ = opened(train=SOME, **labels)
    assert dataset.test_split == taken
    assert sorted(example["label"] for example in dataset.test) == sorted(SOME)
    said = capsys.readouterr().out
    assert ("has no examples with labels in" in said) == (NONE in labels.values())
    assert (f"tested on '{taken}'" in said) == (NONE in labels.values())


def test_a_chosen_part_is_taken_or_refused(opened):
    parts = {"train": SOME, "test": SOME, "validation": NONE, "extra": SOME}
    assert opened("extra", **parts)[0].test_split == "extra"
    with pytest.raises(InputError, match=r"'validation': set dataset\.test_split to o"):
        opened("validation", **parts)
    for wrong in ("train", "tset"):
        with pytest.raises(InputError, match=rf"is '{wrong}'.*'test', 'validation'"):
            opened(wrong, **parts)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ({"train": SOME, "test": NONE}, "no examples with labels in 'test': choose"),
        ({"train": NONE, "test": SOME}, "no examples with labels in 'train'"),
        ({"train": [0, 1, -1], "test": SOME}, r"split 'train', has the label -1, .*0 "),
        (
            {"train": SOME, "test": [0, 7, 1]},
            r"split 'test', has the label 7, .*0 to 2",
        ),
        (
            {"train": SOME, "extra": SOME},
            "none of 'test', 'validation', 'val' to test on: set dataset.test_split to "
            "one that has, of 'extra'",
        ),
        ({"train": SOME}, "to test on: choose a set that has a part to test on"),
        (
            {"train": SOME, "test": NONE, "eval": SOME},
            "labels in 'test': set dataset.test_split to one that has, of 'eval'",
        ),
        # One of thousands, which is neither the first nor the last.
        (
            {"train": [*SOME * 200, -1, *SOME], "test": SOME},
            "'train', has the label -1",
        ),
        ({"test": SOME}, "has the splits test: choose a set"),
    ],
)
def test_without_labels_nothing_begins(opened, labels, sentence):
    with pytest.raises(InputError, match=sentence):
        opened(**labels)


@pytest.mark.parametrize("kept", [2**20, 0])
def test_one_that_was_not_looked_at_is_found_when_it_is_read(opened, monkeypatch, kept):
    """Also by the threads that read ahead, and where decoded images are not kept."""
    monkeypatch.setattr(parts, "_ALL", 3)
    monkeypatch.setattr(parts, "_LOOKED_AT", 2)
    monkeypatch.setattr("ifnas_jax.data.source._KEEP_BYTES", kept)
    dataset, config = opened(train=[-1, *SOME, *SOME], test=SOME)
    transform = train_transform(config)
    batches = train_batches(dataset.train, transform, batch_size=4, seed=0)
    with closing(batches), pytest.raises(InputError, match="'train', has the label -1"):
        for _ in range(4):
            next(batches)


def test_examples_without_a_label_are_of_no_chosen_class(opened):
    dataset, _ = opened(train=SOME, test=NONE, validation=SOME, subset=("2", "0"))
    assert sorted(example["label"] for example in dataset.test) == [0, 0, 1, 1]
