"""Makes a search of a config and its data, or refuses it before anything is written."""

from collections.abc import Callable

import numpy as np
from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax import training
from ifnas_jax.data.augment import eval_transform, train_transform
from ifnas_jax.data.halves import halves
from ifnas_jax.data.source import Dataset
from ifnas_jax.methods import draws, make_method
from ifnas_jax.methods.sampling import loop_masks
from ifnas_jax.methods.schedule import search_schedule
from ifnas_jax.nn.nodes import SKIPPING
from ifnas_jax.nn.supernet import Supernet
from ifnas_jax.runtime import distributed
from ifnas_jax.searching.step import Search, validation_batches


def make_search(
    config: ConfigDict, dataset: Dataset, supernet: Callable = Supernet
) -> Search:
    """What stays the same over a search.

    Args:
      config: resolved, and checked by `validate`.
      dataset: of its training part only the size is read.
      supernet: makes the super-network; another one for experiments.

    Raises:
      InputError: the phases don't fit, or there are too many steps.
    """
    space, macro = config_lib.space(config), config_lib.macro(config)
    method = make_method(config, space, macro)
    num_masks = loop_masks(config, space)
    schedule = search_schedule(config, len(dataset.train), num_masks)
    net = supernet(
        space,
        config_lib.search_macro(config),
        training.compute_dtype(config),
        method.wrap,
        method.width,
        SKIPPING[training.skipping_of(config)],
    )
    return Search(config, method, net, macro, schedule)


def check(job: Search, dataset: Dataset) -> None:
    """Refuses what the data or the devices don't allow.

    Raises:
      InputError: the devices don't divide a batch, the validation part fills none, the
        transforms can't be made, a half of the data is empty, or draws don't meet the
        target.
    """
    config, method = job.config, job.method
    train_transform(config.dataset)
    eval_transform(config.dataset)
    distributed.check_batch("search", config.search)
    if config.search.valid_every or (method.draw and method.trains):
        validation_batches(config, dataset)
    if method.order:
        halves(dataset.train, config.seed)
    if method.draw:
        check_draws(job)


def check_draws(job: Search) -> None:
    """Refuses a budget that a draw can't meet, or not as often as a run will draw.

    Raises:
      InputError: it is met by no draw, or seldom.
    """
    config = job.config
    if job.method.trains and config.derive == "target":
        band, target = config.random.band, config.target_madds
        # Whether a target is drawn often is no matter of a run's seed.
        rng = np.random.default_rng(0)
        draws.check_target(job.net.space, job.macro, target, band, rng)
    job.method.draw(0)
