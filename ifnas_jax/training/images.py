"""What of a batch's images is computed on the devices: flip, jitter, normalisation.

The host cuts and draws (`data/augment.py`), and uploads bytes, a quarter of what
floats would take; all else is arithmetic, of which devices have plenty.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from ml_collections import ConfigDict

from ifnas_jax.data.augment import FACTORS, FLIP, ORDER, scale_and_offset

# Of PIL's grey: ITU-R 601-2.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def preparer(config: ConfigDict) -> Callable[[Mapping[str, jax.Array]], jax.Array]:
    """Makes what turns a batch into the images that a network sees.

    Args:
      config: of the data set: `flip`, `jitter`, `mean`, `std`, `channels`.

    Returns:
      A function from {"image": uint8 [b, H, W, C], "draws": float32 [b, DRAWS]} to
      float32 [b, H, W, C]. Without "draws", as in evaluation, images are normalised
      only; images of floats are taken as they are.
    """
    scale, offset = scale_and_offset(config)
    jitter = tuple(config.jitter)

    def prepare(batch: Mapping[str, jax.Array]) -> jax.Array:
        images = batch["image"]
        if images.dtype != jnp.uint8:
            return images
        draws = batch.get("draws")
        if draws is not None and config.flip:
            mirrored = draws[:, FLIP, None, None, None] > 0
            images = jnp.where(mirrored, images[:, :, ::-1], images)
        images = images.astype(jnp.float32)
        if draws is not None and any(jitter):
            images = 255 * colour_jitter(images / 255, draws, jitter)
        return images * scale - offset

    return prepare


def colour_jitter(
    images: jax.Array, draws: jax.Array, strengths: tuple[float, float, float, float]
) -> jax.Array:
    """Changes brightness, contrast, saturation and hue, in each image's random order.

    As torchvision defines it, for pixels that need not be whole numbers.

    Args:
      images: [b, H, W, C], from 0 to 1.
      draws: [b, DRAWS].
      strengths: of brightness, contrast, saturation, hue; what is 0 is left out.

    Returns:
      The same, from 0 to 1.
    """

    def one(image, own):
        factors, order = own[FACTORS], own[ORDER].astype(jnp.int32)
        changes = [
            change if strength else lambda image, factor: image
            for change, strength in zip(_CHANGES, strengths, strict=True)
        ]
        for place in range(len(changes)):
            which = order[place]
            image = lax.switch(which, changes, image, factors[which])
        return image

    return lax.platform_dependent(
        images,
        draws,
        # One by one each image is changed in its four ways only; side by side, where
        # that costs no launches, in all four at each place of the order.
        cpu=lambda images, draws: lax.map(lambda own: one(*own), (images, draws)),
        default=jax.vmap(one),
    )


def _blend(image: jax.Array, other: jax.Array, factor: jax.Array) -> jax.Array:
    return jnp.clip(other + factor * (image - other), 0.0, 1.0)


def _grey(image: jax.Array) -> jax.Array:
    """[H, W, 1]; of a grey image itself."""
    return image if image.shape[-1] == 1 else (image * _LUMA).sum(-1, keepdims=True)


def _brightness(image: jax.Array, factor: jax.Array) -> jax.Array:
    return _blend(image, jnp.zeros_like(image), factor)


def _contrast(image: jax.Array, factor: jax.Array) -> jax.Array:
    return _blend(image, _grey(image).mean(), factor)


def _saturation(image: jax.Array, factor: jax.Array) -> jax.Array:
    return _blend(image, _grey(image), factor)


def turn_hue(image: jax.Array, shift: jax.Array) -> jax.Array:
    """Turns the hue by `shift` of a full circle; a grey image has none.

    Value and saturation stay: the largest and the smallest channel of a pixel.
    """
    if image.shape[-1] == 1:
        return image
    red, green, blue = (image[..., channel] for channel in range(3))
    high, low = image.max(axis=-1), image.min(axis=-1)
    spread = high - low
    safe = jnp.where(spread > 0, spread, 1.0)
    hue = jnp.where(
        high == red,
        (green - blue) / safe,
        jnp.where(high == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    hue += 6 * shift
    channels = []
    for start in (5.0, 3.0, 1.0):
        angle = (start + hue) % 6
        share = jnp.clip(jnp.minimum(angle, 4 - angle), 0.0, 1.0)
        channels.append(high - spread * share)
    return jnp.stack(channels, axis=-1)


_CHANGES = (_brightness, _contrast, _saturation, turn_hue)
