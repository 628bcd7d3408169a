"""What of a retraining is refused before anything is written."""

from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax import storage
from ifnas_jax.architecture import Architecture, load
from ifnas_jax.data.augment import eval_transform, train_transform
from ifnas_jax.data.source import Dataset
from ifnas_jax.errors import InputError
from ifnas_jax.methods.schedule import retrain_steps
from ifnas_jax.retraining import weights
from ifnas_jax.run.workdir import Workdir
from ifnas_jax.runtime import distributed


def check(
    config: ConfigDict,
    dataset: Dataset,
    workdir: Workdir,
    network: Architecture | None = None,
) -> None:
    """Refuses what the data, the devices or the workdir's architecture don't allow.

    Args:
      config: resolved, and checked by `validate`.
      dataset: opened.
      workdir: of the run; only read.
      network: to train, if it is not in the workdir yet.

    Raises:
      InputError: the devices don't divide a batch, there are too many steps, the
        transforms can't be made, or there is no architecture to retrain and no search
        to find one, or one of another space or size, or weights that don't fit it.
    """
    train_transform(config.dataset)
    eval_transform(config.dataset)
    distributed.check_batch("retrain", config.retrain)
    retrain_steps(config, len(dataset.train) + len(dataset.valid))
    path = "--architecture"
    if network is None:
        path = workdir.search.architecture
        if "search" in config.jobs and not storage.exists(path):
            _check_from_scratch(config)
            return
        if not distributed.is_primary():
            return
        network = load(path)
    check_architecture(config, network, path)
    # What goes on has a checkpoint of its own.
    if distributed.is_primary() and not storage.exists(workdir.retrain.checkpoints):
        weights.check(config, network)


def _check_from_scratch(config: ConfigDict) -> None:
    """Refuses weights for a network that is not found yet.

    Raises:
      InputError: there are such.
    """
    if config.retrain.weights:
        raise InputError(
            f"retrain.weights is {config.retrain.weights!r}, but the network that they "
            "would be of is not found yet; leave it out, or name --architecture."
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
