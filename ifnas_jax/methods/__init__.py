"""Search methods: one file a method, one interface (`interface.py`).

A new method is a new file, whose function has the file's name, and a line here.
"""

import importlib
from typing import TYPE_CHECKING

from ml_collections import ConfigDict

from ifnas_jax.spaces.graph import Space

if TYPE_CHECKING:
    from ifnas_jax.methods.interface import Method

# Of each method, the derivations that it has; the first is its default.
METHODS = {
    "ifnas": ("prune", "target", "keep1", "keep2"),
    "dnas": ("prune", "target", "keep1", "keep2"),
    "goldnas": ("prune", "keep1", "keep2"),
    "darts": ("target", "keep1", "keep2"),
    "pcdarts": ("target", "keep1", "keep2"),
    "fairdarts": ("target", "keep1", "keep2"),
    "random": ("target", "keep1", "keep2"),
    "randomws": ("target", "keep1", "keep2"),
}


def make_method(config: ConfigDict, space: Space) -> "Method":
    """The method that `config.method` names; imports JAX only here."""
    module = importlib.import_module(f"ifnas_jax.methods.{config.method}")
    return getattr(module, config.method)(config, space)
