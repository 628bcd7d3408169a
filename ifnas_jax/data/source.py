"""Opens a data set: its training, validation and test parts, read by index."""

import dataclasses
import json
import zlib
from collections.abc import Sequence

import ml_collections
import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from ifnas_jax.data import manifest
from ifnas_jax.data.classes import chosen_classes, split_labels
from ifnas_jax.data.decode import DecodeError, decode
from ifnas_jax.data.folder import FOLDER
from ifnas_jax.data.prepare import (
    IMAGENET,
    one_line,
    open_records,
    prepared_builder,
)
from ifnas_jax.errors import InputError, StorageError

# Which examples validate is a property of the data set, not of a run.
_VALID_SEED = 0
UNREADABLE = ("stop", "skip")
# Sets of at most this many bytes of pixels are decoded once and kept.
_KEEP_BYTES = 2**28


class Examples(Sequence):
    """Some examples of a split, by index: {'image': uint8 [H, W, C], 'label': int}.

    None stands for one whose image can't be decoded and that is to be skipped.
    Reading is safe from several threads.

    Attributes:
        skipped: the records that were met and could not be decoded.
    """

    def __init__(
        self,
        records: Sequence,
        indices: np.ndarray,
        channels: int,
        classes: np.ndarray | None = None,
        *,
        keep: bool = False,
        skip: bool = False,
        name: str = "the data set",
    ):
        """Picks examples of a split.

        Args:
            records: the split's examples with undecoded images.
            indices: [examples], which of them, in order.
            channels: 1 or 3; a grey image becomes three equal channels.
            classes: the labels that become 0, 1, ...; None keeps labels.
            keep: keep decoded images in memory.
            skip: return None, where otherwise StorageError is raised, for an image
                that can't be decoded.
            name: of the split, for errors.
        """
        self._records, self._indices, self._channels = records, indices, channels
        self._labels = None
        if classes is not None:
            self._labels = {int(label): new for new, label in enumerate(classes)}
        self._skip, self._name = skip, name
        self._kept: list[dict | None] | None = [None] * len(indices) if keep else None
        self.skipped: set[int] = set()

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> dict | None:
        if self._kept is None:
            return self._read(index)
        example = self._kept[index]
        if example is None:
            example = self._kept[index] = self._read(index)
        return example

    def _read(self, index: int) -> dict | None:
        row = int(self._indices[index])
        record = self._record(row)
        try:
            image = decode(record["image"], self._channels)
        except DecodeError as error:
            self._note(row, error)
            return None
        # Kept images are handed out again and again: nobody may write to them.
        image.flags.writeable = False
        label = int(record["label"])
        return {
            "image": image,
            "label": label if self._labels is None else self._labels[label],
        }

    def _record(self, row: int) -> dict:
        reason, cause = "its file is cut", None
        try:
            record = self._records[row]
            # What ArrayRecord finds past the end of a file that was cut meanwhile.
            if record["image"] is not None:
                return record
        except (OSError, RuntimeError) as error:
            reason, cause = one_line(error), error
        raise StorageError(
            f"record {row} of {self._name} can't be read ({reason}): see that "
            "dataset.data_dir is there and whole, and repeat the command."
        ) from cause

    def _note(self, row: int, error: DecodeError) -> None:
        """Stops at an image that can't be decoded, or counts it."""
        if not self._skip:
            raise StorageError(
                f"record {row} of {self._name} is no whole image ({one_line(error)}): "
                "prepare the set again from whole files, or set "
                "dataset.on_unreadable to 'skip'."
            ) from error
        if not self.skipped:
            logging.warning(
                "Record %d of %s is no whole image (%s): it is skipped, and so will "
                "be others, without a word.",
                row,
                self._name,
                one_line(error),
            )
        self.skipped.add(row)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """The parts of a data set.

    Attributes:
        num_classes: labels are 0 to num_classes − 1.
        train: what weights are trained on; with `valid` it is the training split.
        valid: what is kept of the training split for validation.
        test: the test split; ImageNet's validation split, whose test has no labels.
        classes: the name of each label, of a set of which only some classes are
            used; otherwise ().
        contents: its version, examples and files: equal ones are read in equal order.
    """

    num_classes: int
    train: Examples
    valid: Examples
    test: Examples
    classes: tuple[str, ...] = ()
    contents: str = ""


def open_dataset(config: ml_collections.ConfigDict, prepare: bool = True) -> Dataset:
    """Opens a data set, and prepares it first when it is missing.

    Args:
        config: `name` (any TFDS image classification set, 'mnist5k' or
            'imagenet100'), `data_dir` ('' for TFDS' default), `valid_fraction`
            (of the training split), `channels`, `classes` and `subset_seed` (see
            `chosen_classes`) and `on_unreadable` ('stop' or 'skip'). `num_classes`
            and `contents`, when there and not empty, have to agree.
        prepare: see `prepared_builder`.

    Returns:
        The parts of the set.

    Raises:
        InputError: the set is unknown, can't be or isn't prepared or read, has no
            training or test split, or does not agree with the config.
    """
    _check_fields(config)
    builder = prepared_builder(config.name, config.data_dir, prepare)
    _check_channels(config, builder)
    contents = _contents(builder)
    _check_contents(config, contents, builder)
    names = chosen_classes(config, builder)
    feature = builder.info.features["label"]
    classes = np.array([feature.str2int(name) for name in names]) if names else None
    num_classes = len(names) or feature.num_classes
    if config.get("num_classes", 0) not in (0, None, num_classes):
        raise InputError(
            f"dataset.num_classes is {config.num_classes}, but '{config.name}' has "
            f"{num_classes} classes: set it to that."
        )
    splits = {"train": "train", "valid": "train", "test": _test_split(builder)}
    records = {name: open_records(builder, name) for name in sorted({*splits.values()})}
    rows = {split: _rows(builder, split, classes, prepare) for split in records}
    train, valid = split_validation(rows["train"], config.valid_fraction)
    indices = {"train": train, "valid": valid, "test": rows[splits["test"]]}
    keep = _fits_in_memory(builder, config.channels)
    parts = {
        part: Examples(
            records[split],
            indices[part],
            config.channels,
            classes,
            keep=keep,
            skip=config.on_unreadable == "skip",
            name=f"{builder.info.full_name}, split '{split}',",
        )
        for part, split in splits.items()
    }
    return Dataset(num_classes, classes=names, contents=contents, **parts)


def _check_fields(config: ml_collections.ConfigDict) -> None:
    """Refuses what no data set can mend."""
    if not 0 <= config.valid_fraction < 1:
        raise InputError(
            f"dataset.valid_fraction is {config.valid_fraction}: give 0 or more, "
            "and less than 1."
        )
    if config.on_unreadable not in UNREADABLE:
        raise InputError(
            f"dataset.on_unreadable is '{config.on_unreadable}': choose one of "
            f"{', '.join(UNREADABLE)}."
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
        raise InputError(
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


def _test_split(builder: tfds.core.DatasetBuilder) -> str:
    """Where the test examples are, with their labels."""
    splits = builder.info.splits
    # The labels of ImageNet's test split were never published.
    if "test" in splits and not builder.name.startswith(IMAGENET):
        return "test"
    if "validation" in splits and "train" in splits:
        return "validation"
    raise InputError(
        f"dataset.name '{builder.name}' has the splits {', '.join(splits)}: choose "
        "a set with 'train' and with 'test' or 'validation'."
    )


def _fits_in_memory(builder: tfds.core.DatasetBuilder, channels: int) -> bool:
    """Whether all decoded images are small enough to keep."""
    height, width, _ = builder.info.features["image"].shape
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
