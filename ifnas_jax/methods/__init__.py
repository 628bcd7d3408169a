"""Search methods: one file a method, one interface (`interface.py`).

A new method is a new file, whose function has the file's name, and two lines here.
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

# Of each method, the fields that it reads and others don't, by name or by group.
_SGD = tuple(f"search.arch_{x}" for x in ("learning_rate", "momentum", "weight_decay"))
READS = {
    "ifnas": ("penalty", "search.threshold", *_SGD),
    "dnas": ("penalty", "search.threshold", *_SGD),
    "goldnas": ("goldnas", *_SGD),
    "darts": ("darts", "bilevel"),
    "pcdarts": ("pcdarts", "bilevel"),
    "fairdarts": ("bilevel",),
    "random": ("random.band",),
    "randomws": ("random.band", "random.candidates"),
}


def readers(field: str) -> tuple[str, ...]:
    """The methods that read a field; all of them, if it is of none in particular."""
    names = {field, field.split(".")[0]}
    found = tuple(method for method, own in READS.items() if names & set(own))
    return found or tuple(METHODS)


def make_method(config: ConfigDict, space: Space) -> "Method":
    """The method that `config.method` names; imports JAX only here."""
    module = importlib.import_module(f"ifnas_jax.methods.{config.method}")
    return getattr(module, config.method)(config, space)
