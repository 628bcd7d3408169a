"""What follows from a configuration: its space, its sizes, its text, its defaults."""

import dataclasses
import json
import re
from typing import Any

from ml_collections import ConfigDict

from ifnas_jax import files
from ifnas_jax.architecture import cost
from ifnas_jax.config.ranges import CHOICES
from ifnas_jax.data.names import class_names
from ifnas_jax.errors import InputError
from ifnas_jax.methods import traits
from ifnas_jax.spaces import make_space
from ifnas_jax.spaces.graph import Space


def space(config: ConfigDict) -> Space:
    """The search space of a configuration.

    Raises:
      InputError: the name is unknown, or a number is out of range.
    """
    fields, cells = config.space, config.macro.search_cells
    return make_space(
        fields.name, fields.num_precursors, fields.nodes, cells, fields.operators
    )


def macro(config: ConfigDict) -> cost.Macro:
    """The sizes of the derived network, at which MAdds are counted.

    Raises:
      InputError: a size is missing, or the stem does not take it.
    """
    if not config.dataset.num_classes:
        raise InputError(
            "dataset.num_classes is 0, so only the data set knows it; set it to price "
            "a network without opening the data."
        )
    return cost.Macro(
        width=config.macro.width,
        num_classes=config.dataset.num_classes,
        image_size=config.dataset.image_size,
        channels=config.dataset.channels,
        stem=config.macro.stem,
        cells=config.macro.cells,
    )


def search_macro(config: ConfigDict) -> cost.Macro:
    """The sizes of the super-network."""
    fields = config.macro
    return dataclasses.replace(
        macro(config), width=fields.search_width, cells=fields.search_cells
    )


def resolve(config: ConfigDict, stored: dict[str, Any] | None) -> None:
    """Replaces what stands for a value by the value.

    Args:
      config: changed in place.
      stored: the resolved config of the run that is gone on with, if there is one;
        what only the data or the devices know is taken from it.
    """
    searched = space(config)
    if not config.sampling.modulus:
        config.sampling.modulus = searched.modulus
    if config.derive == "auto":
        config.derive = derivation(config)
    config.dataset.classes = class_names(config.dataset.classes)
    if stored is None:
        return
    for field in ("classes", "labels"):
        names = stored["dataset"].get(field, [])
        if not isinstance(names, list) or not all(isinstance(x, str) for x in names):
            raise InputError(
                f"config.json of the workdir has dataset.{field} {names!r}, which no "
                "run leaves; restore it, or use another workdir."
            )
    for field in ("contents", "test_split"):
        if type(stored["dataset"].get(field)) is not str:
            raise InputError(
                f"config.json of the workdir has no dataset.{field}: it is damaged, or "
                "of an earlier version; restore it, or use another workdir."
            )
    classes, dtype = stored["dataset"].get("num_classes"), stored.get("dtype")
    if type(classes) is not int or classes < 1 or dtype not in ("float32", "bfloat16"):
        raise InputError(
            f"config.json of the workdir has dataset.num_classes {classes!r} and dtype "
            f"{dtype!r}, which no run leaves; restore it, or use another workdir."
        )
    # Those of any other set stay as they are given.
    if config.dataset.name == "imagenet100" and not config.dataset.classes:
        config.dataset.classes = tuple(stored["dataset"].get("classes", []))
    config.dataset.num_classes = config.dataset.num_classes or classes
    config.dataset.contents = config.dataset.contents or stored["dataset"]["contents"]
    labels = stored["dataset"].get("labels", [])
    config.dataset.labels = config.dataset.labels or tuple(labels)
    tested = stored["dataset"]["test_split"]
    config.dataset.test_split = config.dataset.test_split or tested
    config.dtype = dtype if config.dtype == "auto" else config.dtype
    if config.search.skipping == "auto":
        # Of an earlier version it may be one that there is no more (`skipping_of`).
        found = stored.get("search")
        found = found.get("skipping") if isinstance(found, dict) else None
        config.search.skipping = found if isinstance(found, str) else "auto"
    if config.seeds > 1 and config.lanes == "auto":
        config.lanes = _stored_lanes(stored)


def _stored_lanes(stored: dict[str, Any]) -> str:
    """Those of the run that is gone on with."""
    lanes = stored.get("lanes")
    if lanes not in CHOICES["lanes"]:
        raise InputError(
            f"config.json of the workdir has lanes {lanes!r}, which no run leaves; "
            "restore it, or use another workdir."
        )
    return lanes


def of_seeds(config: ConfigDict) -> list[ConfigDict]:
    """The config of each seed's run, as if it were alone.

    Args:
      config: of one seed or many.
    """
    if config.seeds == 1:
        return [config]
    configs = []
    for number in range(config.seeds):
        own = config.copy_and_resolve_references()
        own.update(seed=config.seed + number, seeds=1, lanes="auto")
        configs.append(own)
    return configs


def derivation(config: ConfigDict) -> str:
    """How an architecture is derived, "auto" replaced."""
    if config.derive != "auto":
        return config.derive
    searched = space(config)
    if searched.inputs_kept:
        return f"keep{searched.inputs_kept}"
    return traits(config.method).derivations[0]


def to_json(config: ConfigDict) -> str:
    """The text of `config.json`."""
    return json.dumps(config.to_dict(), indent=1, sort_keys=True) + "\n"


def differences(config: ConfigDict, stored: dict[str, Any]) -> list[str]:
    """Fields in which a configuration differs from a stored one, with both values."""
    ours, theirs = flat(config), flatten(stored)
    return [
        f"{_printable(key)} (stored {theirs.get(key)!r}, now {ours.get(key)!r})"
        for key in sorted(ours.keys() | theirs.keys())
        if not files.same(ours.get(key), theirs.get(key))
    ]


def flat(config: ConfigDict) -> dict[str, Any]:
    """Every field by its whole name, with the value that a file of it has."""
    return flatten(json.loads(to_json(config)))


def _printable(key: str) -> str:
    """A key of a file, which may have any name."""
    return key if re.fullmatch(r"[\w.]+", key) else repr(key)


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """The values of a nested object by their whole names, as "search.batch_size"."""
    if not isinstance(tree, dict):
        return {}
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
