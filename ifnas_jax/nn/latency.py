"""How long a network takes on the device at hand."""

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifnas_jax.architecture import Architecture
from ifnas_jax.nn.initial import draw
from ifnas_jax.nn.network import Network

# Seconds of measuring, at least, and calls.
_SECONDS, _CALLS = 1.0, 10


class Latency(NamedTuple):
    """Of one batch, when compiled: milliseconds, of `calls` calls one after the other.

    Attributes:
      batch: images.
      median_ms: of the calls.
      low_ms: a tenth of them took less.
      high_ms: a tenth of them took more.
      calls: how many there were.
      compile_seconds: once, before them.
    """

    batch: int
    median_ms: float
    low_ms: float
    high_ms: float
    calls: int
    compile_seconds: float


def measure(architecture: Architecture, batch: int) -> Latency:
    """Measures a network as it is used, in float32: logits go back to the host.

    Its weights are random, which makes no difference. Images are on the device.

    Args:
      architecture: of the network, at its sizes.
      batch: images at once.
    """
    network, macro = Network(architecture), architecture.macro
    shape = macro.image_size, macro.image_size, macro.channels
    one = jnp.zeros((1, *shape))
    variables = draw(lambda rng: network.init(rng, one), jax.random.key(0))
    images = jnp.zeros((batch, *shape))
    start = time.perf_counter()
    call = jax.jit(lambda *given: network.apply(*given)[0])
    compiled = call.lower(variables, images).compile()
    compile_seconds = time.perf_counter() - start
    variables = jax.device_put(variables)
    taken = []
    jax.device_get(compiled(variables, images))  # The first one also loads things.
    begun = time.perf_counter()
    while len(taken) < _CALLS or time.perf_counter() - begun < _SECONDS:
        start = time.perf_counter()
        jax.device_get(compiled(variables, images))
        taken.append(1000 * (time.perf_counter() - start))
    low, median, high = np.quantile(taken, (0.1, 0.5, 0.9)).tolist()
    return Latency(batch, median, low, high, len(taken), compile_seconds)
