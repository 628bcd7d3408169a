"""A trained network as a StableHLO module, through `jax.export`."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from ifnas_jax.nn.network import Network

PLATFORMS = ("cpu", "cuda", "tpu")


def serialized(
    network: Network,
    variables: Mapping[str, Any],
    mean: Sequence[float],
    std: Sequence[float],
) -> bytes:
    """The network with its weights, for any batch size and each of `PLATFORMS`.

    What is read back by `jax.export.deserialize` is a function of images, float32
    [batch, size, size, channels] of values in [0, 1], that returns logits, float32
    [batch, classes].

    Args:
      network: to be exported; it computes in its own dtype.
      variables: "params" and "batch_stats", NumPy arrays.
      mean: of each channel, subtracted from the images.
      std: of each channel, which they are divided by.
    """
    macro = network.architecture.macro
    shift, scale = np.array(mean, np.float32), 1 / np.array(std, np.float32)

    def logits(images):
        return network.apply(variables, (images - shift) * scale, train=False)[0]

    (batch,) = export.symbolic_shape("batch")
    shape = batch, macro.image_size, macro.image_size, macro.channels
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    with _without_locations():
        exported = export.export(jax.jit(logits), platforms=PLATFORMS)(images)
    return bytes(exported.serialize())


@contextlib.contextmanager
def _without_locations() -> Iterator[None]:
    """What is lowered does not say where in which file it comes from.

    It would tell this machine's folders, and differ with the caller.
    """
    name = "jax_traceback_in_locations_limit"
    limit = getattr(jax.config, name)
    jax.config.update(name, 0)
    try:
        yield
    finally:
        jax.config.update(name, limit)
