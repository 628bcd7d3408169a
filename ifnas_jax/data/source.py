"""Opens a data set: its training, validation and test parts, read by index."""

import dataclasses
import json
import zlib
from collections.abc import Sequence

import ml_collections
import numpy as np
import tensorflow_datasets as tfds

from ifnas_jax.data import manifest
from ifnas_jax.data.builder import open_records, prepared_builder
from ifnas_jax.data.classes import chosen_classes, split_labels
from ifnas_jax.data.examples import Examples
from ifnas_jax.data.folder import FOLDER
from ifnas_jax.data.names import composed
from ifnas_jax.data.parts import split_name, test_split
from ifnas_jax.errors import ChangedError, InputError

# Which examples validate is a property of the data set, not of a run.
_VALID_SEED = 0
# Sets of at most this many bytes of pixels are decoded once and kept.
_KEEP_BYTES = 2**28


@dataclasses.dataclass(frozen=True)
class Dataset:
    """The parts of a data set.

    Attributes:
      num_classes: labels are 0 to num_classes − 1.
      train: what weights are trained on; with `valid` it is the training split.
      valid: what is kept of the training split for validation.
      test: the part `test_split`.
      classes: the name of each label, of a set of which only some classes are
          used; otherwise ().
      contents: its version, examples and files: equal ones are read in equal order.
      test_split: the name of the split that the network is tested on.
      labels: the name of each label.
    """

    num_classes: int
    train: Examples
    valid: Examples
    test: Examples
    classes: tuple[str, ...] = ()
    contents: str = ""
    test_split: str = "test"
    labels: tuple[str, ...] = ()


def open_dataset(config: ml_collections.ConfigDict, prepare: bool = True) -> Dataset:
    """Opens a data set, and prepares it first when it is missing.

    Args:
      config: `name` (any TFDS image classification set, 'mnist5k' or
          'imagenet100'), `data_dir` ('' for TFDS' default), `valid_fraction`
          (of the training split), `channels`, `classes` and `subset_seed` (see
          `chosen_classes`) and `on_unreadable` ('stop' or 'skip'). `num_classes`
          and `contents`, when there and not empty, have to agree; `test_split` is
          that of `parts.test_split`.
      prepare: see `prepared_builder`.

    Returns:
      The parts of the set.

    Raises:
      InputError: the set is unknown, can't be or isn't prepared or read, has no
          training or test split with labels, or does not agree with the config.
      StorageError: a record can't be read.
    """
    builder = prepared_builder(config.name, config.data_dir, prepare)
    _check_channels(config, builder)
    contents = _contents(builder)
    _check_contents(config, contents, builder)
    names = chosen_classes(config, builder)
    feature = builder.info.features["label"]
    classes = np.array([feature.str2int(name) for name in names]) if names else None
    num_classes = len(names) or feature.num_classes
    _check_num_classes(config, num_classes)
    test = test_split(builder, config.get("test_split", ""))
    splits = {"train": "train", "valid": "train", "test": test}
    records = {name: open_records(builder, name) for name in sorted({*splits.values()})}
    rows = {split: _rows(builder, split, classes, prepare) for split in records}
    train, valid = split_validation(rows["train"], config.valid_fraction)
    indices = {"train": train, "valid": valid, "test": rows[splits["test"]]}
    # Of a padded crop the image is resized first, whatever is drawn.
    size = config.get("image_size") if config.get("crop") == "pad" else None
    keep = _fits_in_memory(builder, config.channels, size)
    parts = {
        part: Examples(
            records[split],
            indices[part],
            config.channels,
            range(num_classes) if classes is None else classes,
            keep=keep,
            size=size,
            skip=config.on_unreadable == "skip",
            name=split_name(builder, split),
        )
        for part, split in splits.items()
    }
    return Dataset(
        num_classes,
        **parts,
        classes=names,
        contents=contents,
        test_split=test,
        labels=_labels(config, names or feature.names),
    )


def _labels(config: ml_collections.ConfigDict, names: Sequence[str]) -> tuple[str, ...]:
    """The names of the labels; refuses those of the config if they are others."""
    labels = tuple(map(composed, names))
    if tuple(config.get("labels", ())) not in ((), labels):
        raise InputError(
            f"dataset.labels is {tuple(config.labels)!r}, but '{config.name}' has "
            f"{labels!r}: leave it out, since it is filled in."
        )
    return labels


def _check_num_classes(config: ml_collections.ConfigDict, found: int) -> None:
    if config.get("num_classes", 0) not in (0, None, found):
        raise InputError(
            f"dataset.num_classes is {config.num_classes}, but '{config.name}' has "
            f"{found} classes: set it to that."
        )


def _check_contents(
    config: ml_collections.ConfigDict,
    contents: str,
    builder: tfds.core.DatasetBuilder,
) -> None:
    """Refuses another set than the run began with."""
    if config.get("contents", "") not in ("", contents):
        mend = "install the tensorflow-datasets that prepared it"
        if builder.name == FOLDER:
            mend = "name another workdir"
        raise ChangedError(
            f"dataset.contents is {config.contents!r}, but {builder.data_path} holds "
            f"{contents!r}: set dataset.data_dir to where the former is, or {mend}."
        )


def _contents(builder: tfds.core.DatasetBuilder) -> str:
    """Says what a prepared set is: the rows of another may stand in other places."""
    splits = sorted(builder.info.splits.items())
    counts = ", ".join(f"{name} {split.num_examples}" for name, split in splits)
    shards = json.dumps([split.shard_lengths for _, split in splits])
    files = f"files {zlib.crc32(shards.encode()):x}"
    images = manifest.read(builder.data_path) if builder.name == FOLDER else None
    if images is not None:
        files += f", images {manifest.checksum(images):x}"
    return f"{builder.info.full_name}: {counts}, {files}"


def split_validation(
    rows: np.ndarray, fraction: float
) -> tuple[np.ndarray, np.ndarray]:
    """Parts rows into training and validation, always the same way.

    `RandomState`'s streams are frozen: every NumPy parts them alike.

    Args:
      rows: [examples], rows of the training split.
      fraction: of them, the part that validates, rounded to whole examples.

    Returns:
      The sorted rows that train and those that validate.
    """
    order = np.random.RandomState(_VALID_SEED).permutation(rows)
    count = round(len(rows) * fraction)
    return np.sort(order[count:]), np.sort(order[:count])


def _check_channels(
    config: ml_collections.ConfigDict, builder: tfds.core.DatasetBuilder
) -> None:
    """A grey set may feed a colour network, not the other way round."""
    found = builder.info.features["image"].shape[-1]
    if config.channels not in (1, 3):
        raise InputError(f"dataset.channels is {config.channels}: give 1 or 3.")
    if found not in (1, 3) or found > config.channels:
        raise InputError(
            f"dataset.channels is {config.channels}, but '{config.name}' has images "
            f"of {found} channels: "
            + ("set it to 3." if found == 3 else "choose a grey or an RGB set.")
        )


def _fits_in_memory(
    builder: tfds.core.DatasetBuilder, channels: int, size: int | None
) -> bool:
    """Whether all images, decoded and resized, are small enough to keep."""
    height, width, _ = builder.info.features["image"].shape
    if size is not None:
        height = width = size
    if height is None or width is None:
        return False
    examples = sum(split.num_examples for split in builder.info.splits.values())
    return examples * height * width * channels <= _KEEP_BYTES


def _rows(
    builder: tfds.core.DatasetBuilder,
    split: str,
    classes: np.ndarray | None,
    prepare: bool,
) -> np.ndarray:
    """The rows of a split whose label is one of `classes` (None: all rows)."""
    if classes is None:
        return np.arange(builder.info.splits[split].num_examples)
    rows = np.flatnonzero(np.isin(split_labels(builder, split, prepare), classes))
    if not len(rows):
        raise InputError(
            f"dataset.classes: none of them has an example in split '{split}' of "
            f"'{builder.name}': name others."
        )
    return rows
