"""What a finished run leaves: the architecture it found, and the trained network."""

import os
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax import files, storage
from ifnas_jax.architecture import Architecture, load
from ifnas_jax.config import earlier
from ifnas_jax.errors import InputError
from ifnas_jax.methods import group_of
from ifnas_jax.run import population
from ifnas_jax.run.workdir import Workdir

if TYPE_CHECKING:
    from ifnas_jax.nn.network import Network


class Found(NamedTuple):
    """Of a run whose search is done: its config, and the architecture."""

    config: ConfigDict
    architecture: Architecture


class Trained(NamedTuple):
    """A trained network.

    Attributes:
      network: computes in float32, and has an auxiliary head if one was trained.
      variables: "params" and "batch_stats", NumPy arrays: what `network.apply` takes.
      top1: accuracy on the test part after the last epoch, a fraction, computed in the
        dtype of the run's config.
    """

    network: "Network"
    variables: dict[str, Any]
    top1: float


def load_found(workdir: str | os.PathLike) -> Found:
    """The config and the architecture of a run whose search is done; without JAX.

    Raises:
      InputError: the folder is no run's, or the search is not done.
    """
    workdir = Workdir(storage.reached("workdir", workdir))
    if not storage.is_file(workdir.config):
        raise InputError(
            f"workdir {workdir!r} is no run: it has no config.json; name the folder of "
            "a run."
        )
    seeds = population.workdirs_of(workdir)
    if seeds:
        raise InputError(
            f"workdir {workdir!r} has the runs of {len(seeds)} seeds; name one of "
            f"them, such as {seeds[0]!r}."
        )
    config = _read_config(workdir.config)
    if not storage.is_file(workdir.search.architecture):
        raise InputError(
            f"workdir {workdir!r} has no search/architecture.json, so its search is "
            "not done; repeat the run's command until it is."
        )
    return Found(config, load(workdir.search.architecture))


def load_trained(workdir: str | os.PathLike) -> Trained:
    """The network that a finished run trained; nothing is written.

    Raises:
      InputError: the folder is no run's, the run is not done, its last checkpoint
        can't be read or is of another architecture, or JAX finds no device.
    """
    workdir = Workdir(storage.named("workdir", workdir, checkpoints=True))
    found = load_found(workdir.path)
    if not storage.is_file(workdir.retrain.summary):
        mend = "until it is"
        if "retrain" not in found.config.jobs:
            mend = "with --config.jobs=\"('search', 'retrain')\""
        raise InputError(
            f"workdir {workdir!r} has no retrain/summary.json, so its network is not "
            f"trained to the end; repeat the run's command {mend}, or export the "
            "architecture alone, with --weights=none."
        )
    fields = {"steps": int, "architecture": int, "top1": float}
    summary = files.read_json(workdir.retrain.summary, fields)
    # JAX is imported only when there is something to load.
    import jax

    from ifnas_jax.retraining.step import make_init, make_network, make_optimizer
    from ifnas_jax.runtime import devices
    from ifnas_jax.runtime.checkpoint import read_step

    devices.check()
    network = make_network(found.config, found.architecture)
    # The shapes of its state don't depend on how many steps an epoch has.
    optimizer = make_optimizer(found.config, epoch=1)
    like = jax.eval_shape(make_init(found.config, network, optimizer))._asdict()
    checksum = checksum_of(workdir.search.architecture)
    check_trained(checksum, summary, workdir.retrain.summary)
    tree = read_step(
        workdir.retrain.checkpoints,
        summary["steps"],
        like,
        lambda facts: check_trained(checksum, facts, "its checkpoint"),
    )
    variables = {"params": tree["params"], "batch_stats": tree["batch_stats"]}
    network = network.clone(dtype=jax.numpy.float32, sync_bn=False)
    return Trained(network, variables, summary["top1"])


def _read_config(path: str) -> ConfigDict:
    """A run's config; what it lacks, as one of an earlier version may, has defaults."""
    stored = files.read_json(path, {"dataset": dict})
    config = config_lib.default(str(stored["dataset"].get("name")))
    earlier.fill_in(stored)
    own = group_of(str(stored.get("method")))
    if isinstance(stored.get(own), dict) and own not in config:
        # Fields of a method of one's own, which need not be at hand.
        with config.unlocked():
            config[own] = ConfigDict(stored[own])
    try:
        config.update(stored)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].strip("'\". ")
        raise InputError(
            f"{path!r} is no config that a run of this version leaves ({reason}); "
            "restore it."
        ) from error
    return config


def checksum_of(path: str) -> int:
    """Of an `architecture.json`: what is trained goes with the one that reads it."""
    return zlib.crc32(storage.read_bytes(path))


def check_trained(checksum: int, facts: Mapping[str, Any], where: str) -> None:
    """Refuses what was trained for another architecture.

    Args:
      checksum: of the workdir's architecture.
      facts: of a checkpoint or a summary; its "architecture" is a checksum.
      where: what they are of, for the message.

    Raises:
      InputError: the checksums differ.
    """
    if facts["architecture"] != checksum:
        raise InputError(
            f"search/architecture.json is not the one that {where} was trained for; "
            "restore it, or remove the folder retrain/ to train the new one."
        )
