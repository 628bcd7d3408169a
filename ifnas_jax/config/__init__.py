"""What a user sets: fields and their defaults, command lines, ranges, contradictions.

Knows methods and spaces by what they say of themselves; opens no data, starts no
device. `fields` has every field, `derived` what follows from them.
"""

from ifnas_jax.config.derived import (
    derivation,
    differences,
    flat,
    flatten,
    macro,
    resolve,
    search_macro,
    space,
    to_json,
)
from ifnas_jax.config.fields import default

__all__ = [
    "default",
    "derivation",
    "differences",
    "flat",
    "flatten",
    "macro",
    "resolve",
    "search_macro",
    "space",
    "to_json",
]
