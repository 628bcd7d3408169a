"""The range of every number of a configuration, and the choices of every word.

Both ends of a range are included. The upper ends are far above what anybody runs: what
lies beyond is a slip that would fill the memory, take forever, or overflow float32.
"""

import math
from typing import Any

from ml_collections import ConfigDict

from ifnas_jax.errors import InputError
from ifnas_jax.methods import DERIVATIONS

_RATE = (0, 1e6)
_EPOCHS = (0, 1e6)
_PIXELS = _WIDTH = (1, 10_000)

# Methods are not here: one of one's own is possible (`methods.traits`).
CHOICES = {
    "derive": ("auto", *DERIVATIONS),
    "dtype": ("auto", "float32", "bfloat16"),
    "lanes": ("auto", "together", "in_turn"),
    "dataset.channels": (1, 3),
    "dataset.crop": ("pad", "resized"),
    "dataset.on_unreadable": ("stop", "skip"),
    "penalty.schedule": ("paced", "adaptive", "linear"),
    "relaxation.backbone": ("constant", "gates"),
    "relaxation.node_scale": ("unit", "official"),
    "search.skipping": ("auto", "loops", "nodes"),
    "sampling.groups": ("modulo", "random", "adjacent", "matched"),
    "darts.order": (1, 2),
}
JOBS = ("search", "retrain")

RANGES = {
    "seed": (0, 2**32 - 1),
    "seeds": (1, 10_000),
    "target_madds": (1, 10**15),
    "log_every": (1, 10**9),
    "space.num_precursors": (1, 1000),
    "macro.width": _WIDTH,
    "macro.search_width": _WIDTH,
    "macro.cells": (0, 1000),
    "macro.search_cells": (0, 1000),
    "dataset.image_size": _PIXELS,
    "dataset.num_classes": (0, 10**6),
    "dataset.valid_fraction": (0, 1),
    "dataset.subset_seed": (0, 2**32 - 1),
    "dataset.padding": (0, 10_000),
    "sampling.period": (1, 10**6),
    "sampling.modulus": (0, 1000),
    "sampling.interleaved": (0, 1000),
    "relaxation.init_scale": (0, 1000),
    "search.batch_size": (1, 10**6),
    "search.accumulate": (1, 10**6),
    "search.weights_epochs": _EPOCHS,
    "search.beta_epochs": _EPOCHS,
    "search.alpha_epochs": _EPOCHS,
    "search.max_epochs": _EPOCHS,
    "search.learning_rate": _RATE,
    "search.momentum": (0, 1),
    "search.weight_decay": _RATE,
    "search.clip": (0, 1e9),
    "search.arch_learning_rate": _RATE,
    "search.arch_momentum": (0, 1),
    "search.arch_weight_decay": _RATE,
    "search.threshold": (0, 1),
    "search.most_removed": (0, 1),
    "search.valid_every": (0, 10**9),
    "search.checkpoint_every": (1, 10**9),
    "penalty.delta": _RATE,
    "penalty.prune_epochs": _EPOCHS,
    "penalty.min_removed": (0, 10**9),
    "penalty.edges": _RATE,
    "penalty.operators": _RATE,
    "goldnas.delta": _RATE,
    "goldnas.share": (0, 1),
    "goldnas.weakest": (0, 10**9),
    "goldnas.weak_share": (0, 1),
    "bilevel.learning_rate": _RATE,
    "bilevel.b1": (0, 1),
    "bilevel.b2": (0, 1),
    "bilevel.weight_decay": _RATE,
    "pcdarts.parts": (1, 10_000),
    "random.band": (0, 1),
    "random.candidates": (1, 10**6),
    "retrain.batch_size": (1, 10**6),
    "retrain.accumulate": (1, 10**6),
    "retrain.epochs": (1, 10**6),
    "retrain.learning_rate": _RATE,
    "retrain.warmup_epochs": (0, 10**6),
    "retrain.final_epochs": (0, 10**6),
    "retrain.momentum": (0, 1),
    "retrain.weight_decay": _RATE,
    "retrain.clip": (0, 1e9),
    "retrain.label_smoothing": (0, 1),
    "retrain.auxiliary_weight": _RATE,
    "retrain.test_every": (1, 10**9),
    "retrain.checkpoint_every": (1, 10**9),
}

# Of the numbers in tuples. Images have values in [0, 1].
ENTRIES = {
    "dataset.jitter": (0, 100),
    "dataset.mean": (0, 1),
    "dataset.std": (1e-6, 1000),
}

# What decays by it must decay.
_UNDER_ONE = (
    *("search.momentum", "search.arch_momentum", "retrain.momentum"),
    *("bilevel.b1", "bilevel.b2"),
)


# A part without examples is none.
_OVER_ZERO_UNDER_ONE = ("dataset.valid_fraction",)


def check_choices(config: ConfigDict) -> None:
    """Refuses a word that is none of its field's.

    Raises:
      InputError: there is one, or there are no jobs.
    """
    for field, choices in CHOICES.items():
        _one_of(field, _get(config, field), choices)
    for job in config.jobs:
        _one_of("jobs", job, JOBS)
    if not config.jobs:
        raise InputError(f"jobs is empty; name at least one of {list(JOBS)}.")


def _one_of(field: str, value: Any, choices: tuple) -> None:
    if value not in choices:
        raise InputError(f"{field} is {value!r}; choose one of {list(choices)}.")


def check_ranges(config: ConfigDict) -> None:
    """Refuses a number outside its range.

    Raises:
      InputError: there is one.
    """
    for field, (least, most) in RANGES.items():
        value = _get(config, field)
        if not _is_number(value) or not least <= value <= most:
            raise InputError(f"{field} is {value!r}; set it from {least} to {most}.")
    for field in _UNDER_ONE:
        if _get(config, field) >= 1:
            raise InputError(f"{field} is {_get(config, field)}; set it under 1.")
    for field in _OVER_ZERO_UNDER_ONE:
        if not 0 < _get(config, field) < 1:
            raise InputError(
                f"{field} is {_get(config, field)}; set it between 0 and 1, both "
                "excluded."
            )
    if config.search.threshold >= 0.5:
        raise InputError(
            f"search.threshold is {config.search.threshold}, but every gate starts at "
            "0.5; set it to 0 or more and under 0.5."
        )
    for field, (least, most) in ENTRIES.items():
        for value in _get(config, field):
            if not _is_number(value) or not least <= value <= most:
                raise InputError(
                    f"{field} has the entry {value!r}; give numbers from {least} to "
                    f"{most}."
                )


def _get(config: ConfigDict, field: str) -> Any:
    for name in field.split("."):
        config = config[name]
    return config


def _is_number(value: Any) -> bool:
    """An integer, or a float that is finite."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)
