"""What a user sets: fields and their defaults, command lines, ranges, contradictions.

Knows methods and spaces by what they say of themselves; opens no data, starts no
device. `fields` has every field, `presets` what data sets change, `derived` what
follows from them.
"""

from ifnas_jax.config.derived import (
    derivation,
    differences,
    flat,
    flatten,
    macro,
    of_seeds,
    resolve,
    search_macro,
    space,
    to_json,
)
from ifnas_jax.config.fields import default
from ifnas_jax.config.presets import for_space

__all__ = [
    "default",
    "derivation",
    "differences",
    "flat",
    "flatten",
    "for_space",
    "macro",
    "of_seeds",
    "resolve",
    "search_macro",
    "space",
    "to_json",
]
