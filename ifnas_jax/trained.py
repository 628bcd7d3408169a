"""What a finished run leaves: the architecture it found, and the trained network."""

import os
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax import files, storage
from ifnas_jax.architecture import Architecture, load
from ifnas_jax.errors import InputError

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
    workdir = storage.named("workdir", workdir)
    path = os.path.join(workdir, "config.json")
    if not storage.is_file(path):
        raise InputError(
            f"workdir {workdir!r} is no run: it has no config.json; name the folder of "
            "a run."
        )
    config = _read_config(path)
    path = os.path.join(workdir, "search", "architecture.json")
    if not storage.is_file(path):
        raise InputError(
            f"workdir {workdir!r} has no search/architecture.json, so its search is "
            "not done; repeat the run's command until it is."
        )
    return Found(config, load(path))


def load_trained(workdir: str | os.PathLike) -> Trained:
    """The network that a finished run trained; nothing is written.

    Raises:
      InputError: the folder is no run's, the run is not done, its last checkpoint
        can't be read or is of another architecture, or JAX finds no device.
    """
    workdir = storage.named("workdir", workdir, checkpoints=True)
    found = load_found(workdir)
    path = os.path.join(workdir, "retrain", "summary.json")
    if not storage.is_file(path):
        mend = "until it is"
        if "retrain" not in found.config.jobs:
            mend = "with --config.jobs=\"('search', 'retrain')\""
        raise InputError(
            f"workdir {workdir!r} has no retrain/summary.json, so its network is not "
            f"trained to the end; repeat the run's command {mend}, or export the "
            "architecture alone, with --weights=none."
        )
    fields = {"steps": int, "architecture": int, "top1": float}
    summary = files.read_json(path, fields)
    # JAX is imported only when there is something to load.
    import jax

    from ifnas_jax import devices
    from ifnas_jax.checkpoint import read_step
    from ifnas_jax.retrain_step import make_init, make_network, make_optimizer

    devices.check()
    network = make_network(found.config, found.architecture)
    # The shapes of its state don't depend on how many steps an epoch has.
    optimizer = make_optimizer(found.config, epoch=1)
    like = jax.eval_shape(make_init(found.config, network, optimizer))._asdict()
    directory = os.path.join(workdir, "retrain", "checkpoints")
    _check_same(workdir, summary["architecture"], "retrain/summary.json")
    tree = read_step(
        directory,
        summary["steps"],
        like,
        lambda facts: _check_same(workdir, facts["architecture"], "its checkpoint"),
    )
    variables = {"params": tree["params"], "batch_stats": tree["batch_stats"]}
    network = network.clone(dtype=jax.numpy.float32, sync_bn=False)
    return Trained(network, variables, summary["top1"])


def _read_config(path: str) -> ConfigDict:
    """A run's config; what it lacks, as one of an earlier version may, has defaults."""
    stored = files.read_json(path, {"dataset": dict})
    config = config_lib.default(str(stored["dataset"].get("name")))
    try:
        config.update(stored)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].strip("'\". ")
        raise InputError(
            f"{path!r} is no config that a run of this version leaves ({reason}); "
            "restore it."
        ) from error
    return config


def _check_same(workdir: str, checksum: int, where: str) -> None:
    """Weights go with the architecture that reads them."""
    path = os.path.join(workdir, "search", "architecture.json")
    if zlib.crc32(storage.read_bytes(path)) == checksum:
        return
    raise InputError(
        f"search/architecture.json of workdir {workdir!r} is not the one that {where} "
        "was trained for; restore it."
    )
