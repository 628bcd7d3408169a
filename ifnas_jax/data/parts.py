"""Which parts of a set are trained and tested on: those that have labels.

TFDS writes -1 for the labels of a part that were never published. An accuracy on such a
part would be a number, and say nothing.
"""

import numpy as np
import tensorflow_datasets as tfds

from ifnas_jax.data.builder import IMAGENET, open_records
from ifnas_jax.data.examples import read_record, wrong_label
from ifnas_jax.errors import InputError

# What a set may call the part to test on, the best first.
_TEST = ("test", "validation", "val")
# A part of at most so many records has all of its labels looked at before anything
# compiles, which takes a second; of a larger one it is so many, and the labels of all
# others when they are read.
_ALL, _LOOKED_AT = 10_000, 1000


def split_name(builder: tfds.core.DatasetBuilder, split: str) -> str:
    """A part in words, for errors."""
    return f"{builder.info.full_name}, split '{split}',"


def test_split(builder: tfds.core.DatasetBuilder, chosen: str = "") -> str:
    """The part to test on: the chosen one, or the first that has labels.

    Where a part is passed over that would be first, a line says so.

    Args:
      builder: of a prepared set.
      chosen: a part; '' for the first of 'test', 'validation' and 'val'.

    Raises:
      InputError: there is none, or there are labels of no class in it or in the
          training part.
      StorageError: a record can't be read.
    """
    _check_split(builder, chosen)
    if not _has_labels(builder, "train"):
        raise InputError(
            f"dataset.name '{builder.name}' has no examples with labels in 'train': "
            "choose a set that has."
        )
    # The labels of ImageNet's test split were never published.
    known = _TEST[1:] if builder.name.startswith(IMAGENET) else _TEST
    candidates = [chosen] if chosen else [x for x in known if x in builder.info.splits]
    passed_over = []
    for split in candidates:
        if _has_labels(builder, split):
            if passed_over:
                print(
                    f"{builder.info.full_name} has no examples with labels in "
                    f"{_quoted(passed_over)}: the network is tested on '{split}'.",
                    flush=True,
                )
            return split
        passed_over.append(split)
    others = [x for x in builder.info.splits if x not in ("train", *candidates)]
    raise InputError(
        f"dataset.name '{builder.name}' has no examples with labels in "
        f"{_quoted(candidates)}: {_mend(others)}."
    )


def _mend(others: list[str]) -> str:
    """What to do where none of the usual parts will do; `others` are there."""
    if others:
        return f"set dataset.test_split to one that has, of {_quoted(others)}"
    return "choose a set that has a part to test on, with labels"


def _check_split(builder: tfds.core.DatasetBuilder, chosen: str) -> None:
    """Refuses a set, or a choice, without what is needed."""
    splits = builder.info.splits
    if chosen and (chosen not in splits or chosen == "train"):
        others = [split for split in splits if split != "train"]
        raise InputError(
            f"dataset.test_split is '{chosen}', but the parts of '{builder.name}' to "
            f"test on are {_quoted(others)}: choose one of them, or '' for the first "
            "that has labels."
        )
    if "train" not in splits:
        raise InputError(
            f"dataset.name '{builder.name}' has the splits {', '.join(splits)}: choose "
            "a set with 'train' and with 'test' or 'validation'."
        )
    if not (chosen or {*_TEST} & {*splits}):
        others = [split for split in splits if split != "train"]
        raise InputError(
            f"dataset.name '{builder.name}' has none of {_quoted([*_TEST])} to test "
            f"on: {_mend(others)}."
        )


def _quoted(splits: list[str]) -> str:
    return ", ".join(f"'{split}'" for split in splits) or "none"


def _has_labels(builder: tfds.core.DatasetBuilder, split: str) -> bool:
    """Whether there are examples, and the labels of some are of the set's classes.

    Raises:
      InputError: only those of some are.
    """
    records, name = open_records(builder, split), split_name(builder, split)
    if not len(records):
        return False
    count = len(records) if len(records) <= _ALL else _LOOKED_AT
    rows = np.linspace(0, len(records) - 1, count).astype(int)
    classes = range(builder.info.features["label"].num_classes)
    labels = {row: int(read_record(records, row, name)["label"]) for row in rows}
    wrong = [row for row, label in labels.items() if label not in classes]
    if 0 < len(wrong) < len(rows):
        raise wrong_label(wrong[0], name, labels[wrong[0]], classes)
    return not wrong
