"""Checks of a run that need its data or its devices, before anything is written.

`validation.validate` comes first; after this, a run is refused by nothing but what
happens to it.
"""

import os

import numpy as np
from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax import distributed, draws, storage
from ifnas_jax.architecture import Architecture, load
from ifnas_jax.data.augment import eval_transform, train_transform
from ifnas_jax.data.halves import halves
from ifnas_jax.data.source import Dataset
from ifnas_jax.errors import InputError
from ifnas_jax.methods import make_method
from ifnas_jax.methods.interface import Method
from ifnas_jax.methods.sampling import modulus
from ifnas_jax.schedule import search_schedule
from ifnas_jax.search_step import validation_batches
from ifnas_jax.spaces.graph import Space


def check_run(config: ConfigDict, dataset: Dataset, workdir: str) -> None:
    """Checks every job that is asked for.

    Args:
      config: resolved, and checked by `validate`.
      dataset: opened.
      workdir: of the run; only read.

    Raises:
      InputError: the devices don't divide a batch, the phases don't fit, the
        validation part fills no batch, the transforms can't be made, draws don't meet
        the target, or there is no architecture to retrain or one of another space or
        size.
    """
    train_transform(config.dataset)
    eval_transform(config.dataset)
    if "search" in config.jobs:
        distributed.check_batch("search", config.search)
        space = config_lib.space(config)
        method = make_method(config, space)
        count = len(dataset.train)
        schedule = search_schedule(config, count, modulus(config, space) + 1)
        check_steps("search.max_epochs", config.search.max_epochs, schedule.total)
        if config.search.valid_every or (method.draw and method.trains):
            validation_batches(config, dataset)
        if method.order:
            halves(dataset.train, config.seed)
        if method.draw:
            check_draws(config, space, method)
    if "retrain" in config.jobs:
        distributed.check_batch("retrain", config.retrain)
        count = len(dataset.train) + len(dataset.valid)
        total = config.retrain.epochs * max(1, count // config.retrain.batch_size)
        check_steps("retrain.epochs", config.retrain.epochs, total)
        path = os.path.join(workdir, "search", "architecture.json")
        given = "search" not in config.jobs or storage.exists(path)
        if given and distributed.is_primary():
            check_architecture(config, load(path), path)


def check_draws(config: ConfigDict, space: Space, method: Method) -> None:
    """Refuses a budget that a draw can't meet, or not as often as a run will draw.

    Raises:
      InputError: it is met by no draw, or seldom.
    """
    if method.trains and config.derive == "target":
        band, target = config.random.band, config.target_madds
        # Whether a target is drawn often is no matter of a run's seed.
        rng = np.random.default_rng(0)
        draws.check_target(space, config_lib.macro(config), target, band, rng)
    method.draw(0)


def check_steps(field: str, epochs: float, total: int) -> None:
    """Refuses more steps than a 32-bit counter takes.

    Raises:
      InputError: there are more.
    """
    if total >= 2**31:
        raise InputError(
            f"{field} is {epochs}, which is {total:,} steps with this data set and "
            "batch size; set it so that there are fewer than 2**31."
        )


def check_architecture(
    config: ConfigDict, architecture: Architecture, path: str
) -> None:
    """Refuses an architecture of another space, or of other sizes than the config's.

    Raises:
      InputError: the space or a size differs.
    """
    searched, found = config_lib.space(config), architecture.space
    for name in ("name", "num_precursors", "nodes"):
        have, want = getattr(found, name), getattr(searched, name)
        if have != want:
            raise InputError(
                f"space.{name} is {want!r}, but {path} is of {have!r}; use a config "
                "of its space, or another workdir."
            )
    ours, theirs = config_lib.macro(config), architecture.macro
    names = ("width", "stem", "cells", "image_size", "channels", "num_classes")
    fields = {name: f"macro.{name}" for name in names[:3]}
    for name in names:
        have, want = getattr(theirs, name), getattr(ours, name)
        if have != want:
            raise InputError(
                f"{fields.get(name, f'dataset.{name}')} is {want!r}, but {path} is of "
                f"{have!r}; set the field to that, or the architecture's macro."
            )
