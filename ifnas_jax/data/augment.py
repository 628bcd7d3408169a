"""Augmentation on the host: functions of an image and a generator, nothing else.

Images are uint8 [H, W, C] with C 1 or 3 until they are normalised. Geometry and
colour follow torchvision's definitions for PIL images, which the published
results used; PIL does the heavy parts outside Python's lock.
"""

import functools
import math
from collections.abc import Callable

import ml_collections
import numpy as np
from PIL import Image, ImageEnhance

from ifnas_jax.data.resize import from_pil, resize, resize_centre_crop, to_pil
from ifnas_jax.errors import InputError

# (image, generator, out=None) and (image, out=None). As in NumPy, the result is
# written to `out`, float32, if it is given: its row of a batch.
TrainTransform = Callable[..., np.ndarray]
EvalTransform = Callable[..., np.ndarray]

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


def flip(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirrors left and right with probability one half."""
    if rng.random() >= 0.5:
        return image
    mirrored = np.empty_like(image)
    # Channel by channel: four times as fast as pixels of three bytes.
    for channel in range(image.shape[-1]):
        mirrored[..., channel] = image[:, ::-1, channel]
    return mirrored


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


def shift_hue(image: Image.Image, shift: float) -> Image.Image:
    """Turns the hue by `shift` of a full circle; a grey image has none."""
    if image.mode == "L":
        return image
    turn = int(shift * 255)
    hue, saturation, value = image.convert("HSV").split()
    hue = hue.point([(level + turn) % 256 for level in range(256)])
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")


def colour_jitter(
    image: np.ndarray,
    rng: np.random.Generator,
    strengths: tuple[float, float, float, float],
) -> np.ndarray:
    """Changes brightness, contrast, saturation and hue, in a random order.

    Args:
      image: uint8 [H, W, C].
      rng: draws the order and the four changes.
      strengths: brightness, contrast and saturation are multiplied by a
          factor in [max(0, 1 − s), 1 + s]; hue turns by up to ±s of a circle.

    Returns:
      uint8 [H, W, C].
    """
    if not any(strengths):
        return image
    *scales, hue = strengths
    factors = [rng.uniform(max(0.0, 1 - s), 1 + s) for s in scales]
    shift = rng.uniform(-hue, hue)
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    pil = to_pil(image)
    for which in rng.permutation(4):
        if not strengths[which]:
            continue
        if which == 3:
            pil = shift_hue(pil, shift)
        else:
            pil = enhancers[which](pil).enhance(factors[which])
    return from_pil(pil)


def normaliser(config: ml_collections.ConfigDict) -> EvalTransform:
    """Makes (x / 255 − mean) / std, a channel at a time.

    Args:
      config: the data set's configuration, of which `channels`, `mean` and
          `std` are read; an empty mean and std stand for 0.5.

    Returns:
      A function from uint8 [H, W, C] to float32 [H, W, C], that may be given
      where to write it.

    Raises:
      InputError: `mean` or `std` has another length than `channels`, or `std`
          is not positive.
    """
    for field in ("mean", "std"):
        if len(config[field]) not in (0, config.channels):
            raise InputError(
                f"dataset.{field} has {len(config[field])} values: give one for "
                f"each of the {config.channels} channels, or () for 0.5."
            )
    channels = config.channels
    mean = np.array(tuple(config.mean) or 0.5, np.float32)
    std = np.array(tuple(config.std) or 0.5, np.float32)
    if (std <= 0).any():
        raise InputError(f"dataset.std is {config.std}: give positive values.")
    scale, offset = 1 / (255 * std), mean / std

    same = not scale.ndim and not offset.ndim

    @functools.lru_cache(maxsize=4)
    def of_row(width: int) -> tuple[np.ndarray, np.ndarray]:
        row = (width, channels)
        return tuple(np.broadcast_to(x, row).ravel() for x in (scale, offset))

    def normalise(image: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        if same:
            result = np.multiply(image, scale, out=out)
            result -= offset
            return result
        # By rows: NumPy takes eight times as long over a last axis of three.
        scales, offsets = of_row(image.shape[1])
        rows = None if out is None else out.reshape(len(image), -1)
        result = np.multiply(image.reshape(len(image), -1), scales, out=rows)
        result -= offsets
        return result.reshape(image.shape)

    return normalise


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


def train_transform(config: ml_collections.ConfigDict) -> TrainTransform:
    """Makes the training augmentation: crop, flip, jitter, normalise.

    Args:
      config: `image_size`, `channels`, `crop` ('pad' or 'resized'), `padding`,
          `flip`, `jitter`, `mean`, `std`.

    Returns:
      A function of uint8 [H, W, C] and a generator that returns float32
      [image_size, image_size, C]; the same generator state, the same result.

    Raises:
      InputError: a setting is out of its range.
    """
    _check(config)
    normalise = normaliser(config)
    size, padding, flips = config.image_size, config.padding, config.flip
    jitter, resized = tuple(config.jitter), config.crop == "resized"

    def transform(
        image: np.ndarray, rng: np.random.Generator, out: np.ndarray | None = None
    ) -> np.ndarray:
        if resized:
            image = random_resized_crop(image, rng, size)
        else:
            image = pad_crop(resize(image, size, size), rng, padding)
        if flips:
            image = flip(image, rng)
        return normalise(colour_jitter(image, rng, jitter), out)

    return transform


def eval_transform(config: ml_collections.ConfigDict) -> EvalTransform:
    """Makes the evaluation transform: centre crop or resize, then normalise.

    Args:
      config: as for `train_transform`.

    Returns:
      A function from uint8 [H, W, C] to float32 [image_size, image_size, C].

    Raises:
      InputError: a setting is out of its range.
    """
    _check(config)
    normalise = normaliser(config)
    size, resized = config.image_size, config.crop == "resized"

    def transform(image: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        if resized:
            return normalise(resize_centre_crop(image, size), out)
        return normalise(resize(image, size, size), out)

    return transform
