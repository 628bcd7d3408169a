"""Which classes of a set are used, and which examples have them."""

import collections
import difflib
import io
import uuid

import ml_collections
import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from ifnas_jax.data.builder import IMAGENET, IMAGENET100, open_records, prepare_first
from ifnas_jax.data.names import class_names
from ifnas_jax.errors import InputError

_IMAGENET100_CLASSES = 100
_LABEL_CHUNK = 1024


def chosen_classes(
    config: ml_collections.ConfigDict, builder: tfds.core.DatasetBuilder
) -> tuple[str, ...]:
    """The names of the classes that are used, of which the i-th becomes label i.

    Args:
      config: `classes` (names as TFDS has them; 3 is '3'), or `name` 'imagenet100'
          and `subset_seed`, which draws them.
      builder: of the set that has them.

    Returns:
      Names; () for all classes of the set, as they are.

    Raises:
      InputError: a name is unknown or there twice, or there is only one.
    """
    known = builder.info.features["label"].names
    if not config.classes:
        if config.name != IMAGENET100:
            return ()
        return tuple(known[label] for label in imagenet100_classes(config.subset_seed))
    classes = class_names(config.classes)
    for name in classes:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3) or known[:3]
            raise InputError(
                f"dataset.classes has {name!r}, which '{builder.name}' does not: "
                f"did you mean {' or '.join(close)}?"
            )
    name, count = collections.Counter(classes).most_common(1)[0]
    if count > 1:
        raise InputError(
            f"dataset.classes has {name!r} {count} times: leave it there once."
        )
    if len(classes) < 2:
        raise InputError(
            f"dataset.classes is {classes}: name at least two classes, or none for "
            "those of the set."
        )
    return classes


def imagenet100_classes(seed: int) -> np.ndarray:
    """Draws 100 of ImageNet's 1000 classes: sorted labels [100]."""
    drawn = np.random.RandomState(seed).permutation(1000)[:_IMAGENET100_CLASSES]
    return np.sort(drawn)


def split_labels(
    builder: tfds.core.DatasetBuilder, split: str, prepare: bool = True
) -> np.ndarray:
    """All labels of a split.

    They are read once and kept beside the set, if its folder can be written:
    finding them means reading all records, images included.

    Args:
      builder: of a prepared set.
      split: its name.
      prepare: whether to read them, of a set for which that takes minutes.

    Returns:
      int32 [examples].

    Raises:
      InputError: they would have to be read.
    """
    path = builder.data_path / f"ifnas_labels-{split}.npy"
    if path.exists():
        return np.load(io.BytesIO(path.read_bytes()))
    if not prepare and builder.name == IMAGENET:
        raise InputError(
            f"dataset.data_dir: the labels of '{builder.name}' are not kept in "
            f"{builder.data_path}, and the processes of a run don't wait until one has "
            f"read them: {prepare_first(IMAGENET100, builder)}."
        )
    print(
        f"Reading the labels of {builder.info.full_name}, {split} (once).", flush=True
    )
    records = open_records(builder, split)
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
    # A reader never sees half a file, and several hosts may be at it.
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(buffer.getvalue())
        part.rename(path)
    except OSError as error:
        logging.warning(
            "The labels can't be kept in %s (%s): every start reads the whole set; "
            "`python -m ifnas_jax.data.prepare` keeps them where the folder can be "
            "written.",
            builder.data_path,
            error,
        )
    return labels
