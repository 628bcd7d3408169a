"""Opens a data set: its training, validation and test parts, read by index."""

import dataclasses
import io
from collections.abc import Sequence

import ml_collections
import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from ifnas_jax.data.prepare import IMAGENET, IMAGENET100, prepared_builder
from ifnas_jax.errors import InputError

# Which examples validate is a property of the data set, not of a run.
_VALID_SEED = 0
_IMAGENET100_CLASSES = 100
# Sets of at most this many bytes of pixels are decoded once and kept.
_KEEP_BYTES = 2**28
_LABEL_CHUNK = 1024


class Examples(Sequence):
    """Some examples of a split, by index: {'image': uint8 [H, W, C], 'label': int}.

    Reading is safe from several threads.
    """

    def __init__(
        self,
        records: Sequence,
        indices: np.ndarray,
        channels: int,
        classes: np.ndarray | None = None,
        keep: bool = False,
    ):
        """Picks examples of a split.

        Args:
            records: the split's examples with undecoded images.
            indices: [examples], which of them, in order.
            channels: 1 or 3; a grey image becomes three equal channels.
            classes: sorted labels that become 0, 1, ...; None keeps labels.
            keep: keep decoded images in memory.
        """
        self._records, self._indices = records, indices
        self._mode = "L" if channels == 1 else "RGB"
        self._classes = classes
        self._kept: list[dict | None] | None = [None] * len(indices) if keep else None

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> dict:
        if self._kept is None:
            return self._read(index)
        example = self._kept[index]
        if example is None:
            example = self._kept[index] = self._read(index)
        return example

    def _read(self, index: int) -> dict:
        record = self._records[int(self._indices[index])]
        with Image.open(io.BytesIO(record["image"])) as file:
            image = np.array(file.convert(self._mode))
        # Kept images are handed out again and again: nobody may write to them.
        image.flags.writeable = False
        label = int(record["label"])
        if self._classes is not None:
            label = int(np.searchsorted(self._classes, label))
        return {"image": np.atleast_3d(image), "label": label}


@dataclasses.dataclass(frozen=True)
class Dataset:
    """The parts of a data set.

    Attributes:
        num_classes: labels are 0 to num_classes − 1.
        train: what weights are trained on; with `valid` it is the training split.
        valid: what is kept of the training split for validation.
        test: the test split; ImageNet's validation split, whose test has no labels.
    """

    num_classes: int
    train: Examples
    valid: Examples
    test: Examples


def open_dataset(config: ml_collections.ConfigDict) -> Dataset:
    """Opens a data set, and prepares it first when it is missing.

    Args:
        config: `name` (any TFDS image classification set, 'mnist5k' or
            'imagenet100'), `data_dir` ('' for TFDS' default), `valid_fraction`
            (of the training split), `channels` and `subset_seed` (which 100
            classes 'imagenet100' has). `num_classes`, when there and not 0,
            has to agree.

    Returns:
        The parts of the set.

    Raises:
        InputError: the set is unknown, can't be prepared or read, has no
            training or test split, or does not agree with the config.
    """
    if not 0 <= config.valid_fraction < 1:
        raise InputError(
            f"dataset.valid_fraction is {config.valid_fraction}: give 0 or more, "
            "and less than 1."
        )
    subset = config.name == IMAGENET100
    builder = prepared_builder(IMAGENET if subset else config.name, config.data_dir)
    _check_channels(config, builder)
    classes = imagenet100_classes(config.subset_seed) if subset else None
    num_classes = builder.info.features["label"].num_classes
    num_classes = num_classes if classes is None else len(classes)
    if config.get("num_classes", 0) not in (0, None, num_classes):
        raise InputError(
            f"dataset.num_classes is {config.num_classes}, but '{config.name}' has "
            f"{num_classes} classes: set it to that."
        )
    rows = _rows(builder, "train", classes)
    train, valid = split_validation(rows, config.valid_fraction)
    test_split = _test_split(builder)
    test = _rows(builder, test_split, classes)
    parts = {"train": ("train", train), "valid": ("train", valid)}
    parts["test"] = (test_split, test)
    keep = _fits_in_memory(builder, config.channels)
    return Dataset(
        num_classes=num_classes,
        **{
            part: Examples(
                _records(builder, split), rows, config.channels, classes, keep
            )
            for part, (split, rows) in parts.items()
        },
    )


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


def imagenet100_classes(seed: int) -> np.ndarray:
    """Draws 100 of ImageNet's 1000 classes: sorted labels [100]."""
    drawn = np.random.RandomState(seed).permutation(1000)[:_IMAGENET100_CLASSES]
    return np.sort(drawn)


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


def _records(builder: tfds.core.DatasetBuilder, split: str) -> Sequence:
    """The split's examples; the images stay encoded (TFDS refuses grey JPEGs)."""
    decoders = {"image": tfds.decode.SkipDecoding()}
    return builder.as_data_source(split=split, decoders=decoders)


def _fits_in_memory(builder: tfds.core.DatasetBuilder, channels: int) -> bool:
    """Whether all decoded images are small enough to keep."""
    height, width, _ = builder.info.features["image"].shape
    if height is None or width is None:
        return False
    examples = sum(split.num_examples for split in builder.info.splits.values())
    return examples * height * width * channels <= _KEEP_BYTES


def _rows(
    builder: tfds.core.DatasetBuilder, split: str, classes: np.ndarray | None
) -> np.ndarray:
    """The rows of a split whose label is one of `classes` (None: all rows)."""
    if classes is None:
        return np.arange(builder.info.splits[split].num_examples)
    return np.flatnonzero(np.isin(_labels(builder, split), classes))


def _labels(builder: tfds.core.DatasetBuilder, split: str) -> np.ndarray:
    """All labels of a split [examples]; read once, then kept beside the set."""
    path = builder.data_path / f"ifnas_labels-{split}.npy"
    if path.exists():
        return np.load(io.BytesIO(path.read_bytes()))
    print(
        f"Reading the labels of {builder.info.full_name}, {split} (once).", flush=True
    )
    records = _records(builder, split)
    starts = range(0, len(records), _LABEL_CHUNK)
    chunks = (range(s, min(s + _LABEL_CHUNK, len(records))) for s in starts)
    labels = np.array(
        [
            example["label"]
            for chunk in chunks
            for example in records.__getitems__(list(chunk))
        ],
        np.int32,
    )
    buffer = io.BytesIO()
    np.save(buffer, labels)
    part = path.with_suffix(".part")
    # A reader never sees half a file.
    part.write_bytes(buffer.getvalue())
    part.rename(path)
    return labels
