"""Augmentation on the host: what is cut out of an image, and what else is drawn.

Geometry follows torchvision's definitions for PIL images, which the published results
used; PIL does the heavy part outside Python's lock. The devices do the rest, which is
arithmetic (`training/images.py`): so batches are bytes, and their draws.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import ml_collections
import numpy as np

from ifnas_jax.data.resize import resize, resize_centre_crop
from ifnas_jax.errors import InputError

# What is drawn of an example in an epoch, and changes it on the devices: whether it is
# mirrored (1 or 0); by what brightness, contrast and saturation are multiplied, and by
# what part of a circle the hue turns; the order of these four changes.
DRAWS = 9
FLIP, FACTORS, ORDER = 0, slice(1, 5), slice(5, 9)


class Augmented(NamedTuple):
    """An image for training: uint8 [size, size, C], and its draws, float32 [DRAWS]."""

    image: np.ndarray
    draws: np.ndarray


# (image, generator) -> Augmented, and (image) -> image; uint8 all of them.
TrainTransform = Callable[[np.ndarray, np.random.Generator], Augmented]
EvalTransform = Callable[[np.ndarray], np.ndarray]

CROPS = ("pad", "resized")
_SCALE = (0.08, 1.0)
_LOG_RATIO = (math.log(3 / 4), math.log(4 / 3))


def pad_crop(image: np.ndarray, rng: np.random.Generator, padding: int) -> np.ndarray:
    """Shifts by up to `padding` pixels each way; zeros (black) come in."""
    if not padding:
        return image
    height, width, channels = image.shape
    padded = np.zeros((height + 2 * padding, width + 2 * padding, channels), np.uint8)
    padded[padding : padding + height, padding : padding + width] = image
    top, left = rng.integers(0, 2 * padding + 1, size=2)
    return padded[top : top + height, left : left + width]


def crop_box(
    height: int, width: int, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Draws the box (top, left, height, width) of a random resized crop.

    Its area is 0.08 to 1 of the image and its width over height 3/4 to 4/3,
    uniform in the logarithm. After ten boxes that don't fit, the largest
    centred box whose ratio is allowed is taken.
    """
    for _ in range(10):
        area = height * width * rng.uniform(*_SCALE)
        ratio = math.exp(rng.uniform(*_LOG_RATIO))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            top = int(rng.integers(0, height - h + 1))
            left = int(rng.integers(0, width - w + 1))
            return top, left, h, w
    h, w = min(height, round(width * 4 / 3)), min(width, round(height * 4 / 3))
    return (height - h) // 2, (width - w) // 2, h, w


def random_resized_crop(
    image: np.ndarray, rng: np.random.Generator, size: int
) -> np.ndarray:
    """Cuts a random box (see `crop_box`) and resizes it: uint8 [size, size, C]."""
    top, left, height, width = crop_box(*image.shape[:2], rng)
    # Cut first: PIL's own `box` lets pixels beyond the box bleed in.
    return resize(image[top : top + height, left : left + width], size, size)


def draw_changes(
    rng: np.random.Generator, flip: bool, jitter: tuple[float, float, float, float]
) -> np.ndarray:
    """Draws what changes an image on the devices, float32 [DRAWS].

    Args:
      rng: draws.
      flip: whether half of the images are mirrored.
      jitter: brightness, contrast and saturation are multiplied by a factor in
          [max(0, 1 − s), 1 + s]; hue turns by up to ±s of a circle.
    """
    draws = np.array([0, 1, 1, 1, 0, 0, 1, 2, 3], np.float32)
    if flip:
        draws[FLIP] = rng.random() < 0.5
    if any(jitter):
        *scales, hue = jitter
        factors = [rng.uniform(max(0.0, 1 - s), 1 + s) for s in scales]
        draws[FACTORS] = *factors, rng.uniform(-hue, hue)
        draws[ORDER] = rng.permutation(4)
    return draws


def scale_and_offset(
    config: ml_collections.ConfigDict,
) -> tuple[np.ndarray, np.ndarray]:
    """What bytes x are normalised by, as x · scale − offset, for each channel.

    That is (x / 255 − mean) / std; an empty mean and std stand for 0.5.
    """
    mean = np.array(tuple(config.mean) or 0.5, np.float32)
    std = np.array(tuple(config.std) or 0.5, np.float32)
    return 1 / (255 * std), mean / std


def _check(config: ml_collections.ConfigDict) -> None:
    """Refuses settings that no transform can have."""
    if config.crop not in CROPS:
        raise InputError(
            f"dataset.crop is '{config.crop}': choose one of {', '.join(CROPS)}."
        )
    if config.image_size < 1:
        raise InputError(
            f"dataset.image_size is {config.image_size}: give at least 1 pixel."
        )
    if config.padding < 0:
        raise InputError(f"dataset.padding is {config.padding}: give 0 or more.")
    jitter = tuple(config.jitter)
    if len(jitter) != 4 or min(jitter) < 0 or jitter[3] > 0.5:
        raise InputError(
            f"dataset.jitter is {jitter}: give brightness, contrast, saturation "
            "and hue, each 0 or more and hue at most 0.5."
        )
    for field in ("mean", "std"):
        if len(config[field]) not in (0, config.channels):
            raise InputError(
                f"dataset.{field} has {len(config[field])} values: give one for "
                f"each of the {config.channels} channels, or () for 0.5."
            )
    if any(value <= 0 for value in config.std):
        raise InputError(f"dataset.std is {config.std}: give positive values.")


def train_transform(config: ml_collections.ConfigDict) -> TrainTransform:
    """Makes the host's part of the training augmentation: it cuts, and draws.

    Args:
      config: `image_size`, `channels`, `crop` ('pad' or 'resized'), `padding`,
          `flip`, `jitter`, `mean`, `std`.

    Returns:
      A function of uint8 [H, W, C] and a generator; the same generator state, the
      same result.

    Raises:
      InputError: a setting is out of its range.
    """
    _check(config)
    size, padding, flip = config.image_size, config.padding, config.flip
    jitter, resized = tuple(config.jitter), config.crop == "resized"

    def transform(image: np.ndarray, rng: np.random.Generator) -> Augmented:
        if resized:
            image = random_resized_crop(image, rng, size)
        else:
            image = pad_crop(resize(image, size, size), rng, padding)
        return Augmented(image, draw_changes(rng, flip, jitter))

    return transform


def eval_transform(config: ml_collections.ConfigDict) -> EvalTransform:
    """Makes the host's part of the evaluation transform: centre crop or resize.

    Args:
      config: as for `train_transform`.

    Returns:
      A function from uint8 [H, W, C] to uint8 [image_size, image_size, C].

    Raises:
      InputError: a setting is out of its range.
    """
    _check(config)
    size, resized = config.image_size, config.crop == "resized"

    def transform(image: np.ndarray) -> np.ndarray:
        if resized:
            return resize_centre_crop(image, size)
        return resize(image, size, size)

    return transform
