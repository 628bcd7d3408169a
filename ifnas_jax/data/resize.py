"""Resizing, as torchvision does it with PIL, of images of any shape.

An image of one row of pixels must not take gigabytes on its way to a square.
"""

import math

import numpy as np
from PIL import Image

# The usual evaluation at 224 pixels resizes the shorter side to 256 first.
_EVAL_RESIZE = 256 / 224
# Times its width, or its height, from where on of an image only what is needed is
# resized: one of 1 × 20,000 pixels would take gigabytes on the way.
_LONG = 16


def to_pil(image: np.ndarray) -> Image.Image:
    """A PIL image of uint8 [H, W, 1] or [H, W, 3]."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def from_pil(image: Image.Image) -> np.ndarray:
    """The inverse of `to_pil`: uint8 [H, W, C]."""
    array = np.asarray(image)
    return array[..., None] if array.ndim == 2 else array


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes bilinearly (with antialiasing, as PIL does): uint8 [height, width, C]."""
    if image.shape[:2] == (height, width):
        return image
    pil = to_pil(image)
    if pil.height > _LONG * pil.width:
        # PIL resizes rows first, and would make each of them wide.
        pil = pil.resize((pil.width, height), Image.Resampling.BILINEAR)
    return from_pil(pil.resize((width, height), Image.Resampling.BILINEAR))


def resize_centre_crop(image: np.ndarray, size: int) -> np.ndarray:
    """Resizes the shorter side to 256/224 of `size` and cuts the centre.

    Returns:
      uint8 [size, size, C].
    """
    short = round(size * _EVAL_RESIZE)
    height, width = image.shape[:2]
    long = max(height, width) > _LONG * min(height, width)
    if height <= width:
        height, width = short, short * width // height
    else:
        height, width = short * height // width, short
    top, left = round((height - size) / 2), round((width - size) / 2)
    if long:
        return _resize_part(image, (height, width), (top, left), size)
    return resize(image, height, width)[top : top + size, left : left + size]


def _resize_part(
    image: np.ndarray, sides: tuple[int, int], corner: tuple[int, int], size: int
) -> np.ndarray:
    """What `resize` to `sides` would have at `corner`: uint8 [size, size, C]."""
    cuts, box = [], []
    for old, new, place in zip(image.shape[:2], sides, corner, strict=True):
        step = old / new
        start, end = place * step, min(old, (place + size) * step)
        # With all that its pixels are made of; places in PIL's box are in float32.
        first = max(0, math.floor(start - max(step, 1)))
        last = min(old, math.ceil(end + max(step, 1)))
        cuts.append(slice(first, last))
        box.append((start - first, end - first))
    (top, bottom), (left, right) = box
    part = to_pil(image[tuple(cuts)])
    box = left, top, right, bottom
    return from_pil(part.resize((size, size), Image.Resampling.BILINEAR, box))
