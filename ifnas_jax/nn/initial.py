"""A network's first values, drawn on the host from what its layers say they draw.

Linen's own init is one program that draws each array by itself, and with 500 arrays it
takes a minute or more to compile. So our layers initialise with the functions here.
They are Linen's own, but while `draw` traces an init they draw nothing and say what
they would have drawn; NumPy then draws it, and nothing is compiled. What other layers
have, as those of an operator of one's own, still comes from Linen's init.
"""

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from ifnas_jax import training

# The standard deviation of a standard normal that is cut at ±2, as in JAX.
_CUT_DEVIATION = 0.87962566103423978

_marking = contextvars.ContextVar("marking", default=False)


def marking() -> bool:
    """Whether `draw` traces an init, of which it keeps shapes and no value."""
    return _marking.get()


class _Mark(struct.PyTreeNode, nn.meta.AxisMetadata):
    """What an array shall hold: offset + scale · (a standard normal, cut at ±2).

    Linen keeps it among the variables and hands its value to the layer; stacking
    (`jax.vmap`) changes the value's shape alone.
    """

    value: Any
    offset: float = struct.field(pytree_node=False)
    scale: float = struct.field(pytree_node=False)

    def unbox(self) -> Any:
        return self.value

    def replace_boxed(self, val: Any) -> "_Mark":
        return self.replace(value=val)

    def add_axis(self, index: int, params: dict) -> "_Mark":
        return self

    def remove_axis(self, index: int, params: dict) -> "_Mark":
        return self

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        shape, dtype = self.value.shape, self.value.dtype
        if not self.scale:
            return np.full(shape, self.offset, dtype)
        values = rng.standard_normal(math.prod(shape), np.float32)
        while (out := np.flatnonzero(np.abs(values) > 2)).size:
            values[out] = rng.standard_normal(out.size, np.float32)
        return (self.offset + self.scale * values).reshape(shape).astype(dtype)


def lecun_normal(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32):
    """As `nn.initializers.lecun_normal()`: variance 1 / (all axes but the last).

    What it returns is for `Module.param`, and not to be computed with.
    """
    if not marking():
        return nn.initializers.lecun_normal()(key, shape, dtype)
    scale = math.prod(shape[:-1]) ** -0.5 / _CUT_DEVIATION
    return _Mark(jnp.zeros(shape, dtype), 0.0, scale)


def full(shape: tuple[int, ...], value: float, dtype: Any = jnp.float32):
    """As `jnp.full`; for `Module.variable`."""
    array = jnp.full(shape, value, dtype)
    return _Mark(array, value, 0.0) if marking() else array


def zeros(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32):
    """As `nn.initializers.zeros`; for `Module.param`."""
    del key
    return full(shape, 0.0, dtype)


def ones(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32):
    """As `nn.initializers.ones`; for `Module.param`."""
    del key
    return full(shape, 1.0, dtype)


# Of Linen's convolutions and dense layers: what they have by default.
LAYER = {"kernel_init": lecun_normal, "bias_init": zeros}


def draw(init: Callable[[jax.Array], Any], rng: jax.Array) -> Any:
    """The tree that an init makes, with other draws of the same distributions.

    Args:
      init: (a key) -> a tree of arrays, with the variables of Linen modules as their
        own init gives them: nothing computed from them.
      rng: a key; the same one gives the same bytes, on any back end.

    Returns:
      The tree, of NumPy arrays.
    """
    with _marks():
        # A function of its own each time: JAX keeps traces, and this one is special.
        marked = jax.eval_shape(lambda rng: init(rng), rng)
    leaves, tree = jax.tree.flatten(marked, is_leaf=_is_mark)
    others = [at for at, leaf in enumerate(leaves) if not _is_mark(leaf)]
    generator = np.random.default_rng(np.asarray(jax.random.key_data(rng)))
    values = [leaf.draw(generator) if _is_mark(leaf) else None for leaf in leaves]
    if others:
        # All else is not computed: the compiler drops what has no use.
        pick = lambda rng: [jax.tree.leaves(init(rng))[at] for at in others]  # noqa: E731
        made = jax.device_get(training.jit_once(pick)(rng))
        for at, value in zip(others, made, strict=True):
            values[at] = value
    return jax.tree.unflatten(tree, values)


@contextlib.contextmanager
def _marks() -> Iterator[None]:
    token = _marking.set(True)
    try:
        yield
    finally:
        _marking.reset(token)


def _is_mark(value: Any) -> bool:
    return isinstance(value, _Mark)
