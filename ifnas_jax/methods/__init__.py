"""Search methods: one file a method, one interface (`interface.py`)."""

from collections.abc import Callable, Mapping

from ml_collections import ConfigDict

from ifnas_jax.methods.dnas import dnas
from ifnas_jax.methods.ifnas import ifnas
from ifnas_jax.methods.interface import Method
from ifnas_jax.spaces.graph import Space

METHODS: Mapping[str, Callable[[ConfigDict, Space], Method]] = {
    "ifnas": ifnas,
    "dnas": dnas,
}
