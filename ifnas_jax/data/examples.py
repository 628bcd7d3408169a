"""Examples of a set, by index: decoded, and with a label of 0, 1, ... or refused."""

from collections.abc import Collection, Sequence

import numpy as np
from absl import logging

from ifnas_jax.data.builder import one_line
from ifnas_jax.data.decode import DecodeError, decode
from ifnas_jax.data.resize import resize
from ifnas_jax.errors import InputError, StorageError


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
        classes: Sequence[int],
        *,
        keep: bool = False,
        size: int | None = None,
        skip: bool = False,
        name: str = "the data set",
    ):
        """Picks examples of a split.

        Args:
          records: the split's examples with undecoded images.
          indices: [examples], which of them, in order.
          channels: 1 or 3; a grey image becomes three equal channels.
          classes: the labels that become 0, 1, ...; no other is to be met.
          keep: keep decoded images in memory.
          size: resize images to so many pixels a side, where no transform needs more;
              those that are kept are then resized once.
          skip: return None, where otherwise StorageError is raised, for an image
              that can't be decoded.
          name: of the split, for errors.
        """
        self._records, self._indices, self._channels = records, indices, channels
        self._labels = {int(label): new for new, label in enumerate(classes)}
        self._size, self._skip, self._name = size, skip, name
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
        record = read_record(self._records, row, self._name)
        label = self._labels.get(int(record["label"]))
        if label is None:
            raise wrong_label(row, self._name, int(record["label"]), self._labels)
        try:
            image = decode(record["image"], self._channels)
        except DecodeError as error:
            self._note(row, error)
            return None
        if self._size is not None:
            image = resize(image, self._size, self._size)
        # Kept images are handed out again and again: nobody may write to them.
        image.flags.writeable = False
        return {"image": image, "label": label}

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


def read_record(records: Sequence, row: int, name: str) -> dict:
    """A record, of which nothing is decoded.

    Raises:
      StorageError: it can't be read.
    """
    reason, cause = "its file is cut", None
    try:
        record = records[row]
        # What ArrayRecord finds past the end of a file that was cut meanwhile.
        if record["image"] is not None:
            return record
    except (OSError, RuntimeError) as error:
        reason, cause = one_line(error), error
    raise StorageError(
        f"record {row} of {name} can't be read ({reason}): see that "
        "dataset.data_dir is there and whole, and repeat the command."
    ) from cause


def wrong_label(row: int, name: str, label: int, known: Collection[int]) -> InputError:
    """An error for a label that is none of a set's: training on it would go on."""
    return InputError(
        f"record {row} of {name} has the label {label}, which is none of "
        f"{min(known)} to {max(known)} (-1 stands for none): choose a set all of whose "
        "examples have labels, or prepare it again."
    )
