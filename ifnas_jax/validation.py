"""Checks of a configuration, before anything is opened, compiled or written."""

from typing import Any

from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax import cost, methods
from ifnas_jax.errors import InputError

DERIVATIONS = ("prune", "target", "keep1")
JOBS = ("search", "retrain")

_AT_LEAST_ONE = {
    "": ("log_every",),
    "macro": ("search_width",),
    "sampling": ("period",),
    "search": ("batch_size", "checkpoint_every"),
    "retrain": ("batch_size", "epochs", "test_every", "checkpoint_every"),
}
_AT_LEAST_ZERO = {
    "": ("seed",),
    "dataset": ("num_classes", "padding", "subset_seed"),
    "sampling": ("modulus", "interleaved"),
    "relaxation": ("init_scale",),
    "search": (
        "weights_epochs",
        "beta_epochs",
        "alpha_epochs",
        "learning_rate",
        "momentum",
        "weight_decay",
        "clip",
        "arch_learning_rate",
        "arch_momentum",
        "arch_weight_decay",
        "valid_every",
    ),
    "penalty": ("delta", "prune_epochs", "min_removed", "edges", "operators"),
    "retrain": (
        "learning_rate",
        "warmup_epochs",
        "final_epochs",
        "momentum",
        "weight_decay",
        "clip",
        "label_smoothing",
        "auxiliary_weight",
    ),
}


def validate(config: ConfigDict) -> None:
    """Checks all that can be checked without the data or a device.

    Raises:
      InputError: a field is out of range, or two of them contradict each other.
    """
    _one_of("method", config.method, methods.NAMES)
    _one_of("derive", config.derive, DERIVATIONS)
    _one_of("dtype", config.dtype, ("auto", "float32", "bfloat16"))
    _one_of("dataset.crop", config.dataset.crop, ("pad", "resized"))
    _one_of(
        "penalty.schedule", config.penalty.schedule, ("paced", "adaptive", "linear")
    )
    _one_of("relaxation.node_scale", config.relaxation.node_scale, ("unit", "official"))
    for job in config.jobs:
        _one_of("jobs", job, JOBS)
    if not config.jobs:
        raise InputError(f"jobs is empty; name at least one of {list(JOBS)}.")
    for field, seed in (
        ("seed", config.seed),
        ("dataset.subset_seed", config.dataset.subset_seed),
    ):
        if seed >= 2**32:
            raise InputError(f"{field} is {seed}; set it under 2**32.")
    for group, names in _AT_LEAST_ONE.items():
        for name in names:
            _at_least(config, group, name, 1)
    for group, names in _AT_LEAST_ZERO.items():
        for name in names:
            _at_least(config, group, name, 0)
    if not 0 <= config.search.threshold < 0.5:
        raise InputError(
            f"search.threshold is {config.search.threshold}, but every gate starts at "
            "0.5; set it to 0 or more and under 0.5."
        )
    if not 0 < config.dataset.valid_fraction < 1:
        raise InputError(
            f"dataset.valid_fraction is {config.dataset.valid_fraction}; set it "
            "between 0 and 1, both excluded."
        )
    if config.penalty.schedule == "adaptive" and config.derive != "prune":
        raise InputError(
            "penalty.schedule is 'adaptive', which answers to prunings, but derive is "
            f"{config.derive!r} and prunes nothing while searching; use 'paced' or "
            "'linear'."
        )
    if config.sampling.interleaved and config.method == "dnas":
        raise InputError(
            f"sampling.interleaved is {config.sampling.interleaved}, but method 'dnas' "
            "does not sample; set it to 0, or method to 'ifnas'."
        )
    _check_budget(config)
    _check_auxiliary(config)


def _check_auxiliary(config: ConfigDict) -> None:
    """The auxiliary head takes what stage 2 will give it."""
    size = config.dataset.image_size // cost.STEM_STRIDES[config.macro.stem] // 2
    used = "retrain" in config.jobs and config.retrain.auxiliary_weight
    if used and not 13 <= size <= 16:
        raise InputError(
            f"retrain.auxiliary_weight is {config.retrain.auxiliary_weight}, but stage "
            f"2 is {size} pixels wide and the auxiliary head takes 13 to 16; set it to "
            "0, or change dataset.image_size."
        )


def _check_budget(config: ConfigDict) -> None:
    """The target lies between the fixed parts and the whole super-network."""
    known = config.copy_and_resolve_references()
    # Until the data set is opened, the smallest classifier stands in for its own.
    known.dataset.num_classes = max(1, config.dataset.num_classes)
    graph, sizes = config_lib.space(config), config_lib.macro(known)
    target = config.target_madds
    fixed = cost.fixed_cost(sizes).madds
    full = cost.network_cost(sizes, graph.operators, graph.full()).madds
    if config.derive != "keep1" and not fixed < target < full:
        raise InputError(
            f"target_madds is {target:,}, but the network's fixed parts alone have "
            f"{fixed:,} and the whole super-network has {full:,} at width "
            f"{sizes.width}; set a target between them."
        )


def _one_of(field: str, value: Any, choices) -> None:
    if value not in choices:
        raise InputError(f"{field} is {value!r}; choose one of {list(choices)}.")


def _at_least(config: ConfigDict, group: str, name: str, least: float) -> None:
    value = (config[group] if group else config)[name]
    if not value >= least:  # NaN is refused too
        field = f"{group}.{name}" if group else name
        raise InputError(f"{field} is {value}; set it to {least} or more.")
