"""What a trained network says of images: files, encoded or decoded."""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from ifnas_jax import storage
from ifnas_jax.errors import InputError
from ifnas_jax.formats.notes import class_names
from ifnas_jax.retraining.trained import load_found, load_trained

if TYPE_CHECKING:
    from ifnas_jax.retraining.trained import Trained

# An image as a path, or its pixels: uint8 [H, W, C] or [H, W].
Image = str | os.PathLike | np.ndarray

_BATCH = 64


class Prediction(NamedTuple):
    """What a network says of one image, the most probable class first.

    Attributes:
      labels: the numbers of classes.
      classes: their names.
      probabilities: of them, float32 in [0, 1].
    """

    labels: tuple[int, ...]
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]


def predict(
    workdir: str | os.PathLike, images: Sequence[Image], top: int = 5
) -> list[Prediction]:
    """The classes that the network of a finished run sees in images.

    Images are decoded, resized and cut as for the test of the run.

    Args:
      workdir: of the run.
      images: each a file of any format that PIL knows, or uint8 [H, W, C] or [H, W].
      top: how many classes to tell of each, as many as there are at most.

    Raises:
      InputError: the run is not done, or an image can't be read.
    """
    config = load_found(workdir).config
    return list(predictions(config, load_trained(workdir), images, top))


def predictions(
    config: ConfigDict, trained: "Trained", images: Sequence[Image], top: int
) -> Iterator[Prediction]:
    """As `predict`, of a network that is loaded, one by one as batches are done."""
    import jax

    from ifnas_jax import training
    from ifnas_jax.data.augment import eval_transform

    transform, prepare = (
        make(config.dataset) for make in (eval_transform, training.preparer)
    )
    names = class_names(config.dataset)
    count = trained.network.architecture.macro.num_classes
    names = names or tuple(map(str, range(count)))

    @jax.jit
    def probabilities_of(variables, pixels):
        logits, _ = trained.network.apply(
            variables, prepare({"image": pixels}), train=False
        )
        return jax.nn.softmax(logits)

    for first in range(0, len(images), _BATCH):
        own = images[first : first + _BATCH]
        pixels = [transform(_pixels(image, config.dataset.channels)) for image in own]
        # One program for every batch: the last one is filled up.
        filled = np.stack([*pixels, *[pixels[0]] * (_BATCH - len(own))])
        found = np.asarray(probabilities_of(trained.variables, filled))
        for row in found[: len(own)]:
            order = np.argsort(-row, kind="stable")[:top]
            yield Prediction(
                tuple(order.tolist()),
                tuple(names[label] for label in order),
                tuple(row[order].tolist()),
            )


def _pixels(image: Image, channels: int) -> np.ndarray:
    """Uint8 [H, W, channels].

    Raises:
      InputError: the image can't be read, or has another number of channels.
    """
    from ifnas_jax.data.decode import DecodeError, decode

    if isinstance(image, np.ndarray):
        pixels = np.atleast_3d(image)
        if pixels.dtype != np.uint8 or pixels.shape[2:] not in ((1,), (channels,)):
            raise InputError(
                f"an image is {image.dtype} {list(image.shape)}, but the network takes "
                f"uint8 [H, W, {channels}]; convert it."
            )
        return np.repeat(pixels, channels // pixels.shape[2], axis=2)
    path = os.fspath(image)
    try:
        return decode(storage.read_bytes(path), channels)
    except OSError as error:
        raise InputError(
            f"image {path!r} cannot be read ({error.strerror}); name one that can."
        ) from error
    except DecodeError as error:
        raise InputError(
            f"image {path!r} cannot be decoded ({error}); leave it out, or convert it."
        ) from error
