"""The jobs' train steps with shapes in place of arrays, to be compiled and not run.

No data set is opened and no parameter is made.
"""

import types
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax import storage, training
from ifnas_jax.architecture import Architecture, from_kept, load
from ifnas_jax.data.augment import DRAWS
from ifnas_jax.errors import InputError
from ifnas_jax.methods import METHODS, make_method
from ifnas_jax.retraining import step as retrain_steps
from ifnas_jax.retraining.check import check_architecture
from ifnas_jax.searching.make import make_search
from ifnas_jax.searching.step import make_init, make_step

# Of the training split of ImageNet-1k, whatever the config's data set has. It decides
# when a schedule's phases begin, which are numbers in the program, and no size.
EXAMPLES = 1_281_167


class Step(NamedTuple):
    """What a run would compile.

    Attributes:
      function: the train step.
      arguments: their shapes, or arrays; the state comes first, the batch last.
      params: shapes of what has a gradient.
    """

    function: Callable
    arguments: tuple
    params: Any

    @property
    def params_bytes(self) -> int:
        """Of what has a gradient, without padding."""
        return _bytes(self.params)

    @property
    def waiting_bytes(self) -> int:
        """Of the batches that are sent ahead to a device, without padding."""
        batch = self.arguments[-1]
        return training.IN_FLIGHT * _bytes(batch) // len(batch["label"])


def search_step(config: ConfigDict, count: int) -> Step:
    """The search's train step.

    Args:
      config: resolved, with the dtype of the computation.
      count: of devices, which divides the batch.

    Raises:
      InputError: the method trains no super-network, or the phases don't fit.
    """
    job = make_search(config, types.SimpleNamespace(train=range(EXAMPLES)))
    if not job.method.trains:
        raise InputError(
            f"method is {config.method!r}, which trains no super-network; set another, "
            "or --job=retrain."
        )
    state = jax.eval_shape(make_init(job))
    masks = job.method.masks(job.net.space.full(), 0)
    batch = _batch(config, config.search.batch_size, count)
    if job.method.order:
        batch["arch"] = _batch(config, config.search.batch_size, count)
    arguments = state, masks, np.zeros(2, np.float32), batch
    return Step(make_step(job), arguments, (state.params, state.arch))


def retrain_step(config: ConfigDict, count: int, architecture: Architecture) -> Step:
    """The retraining's train step.

    Args:
      config: resolved, with the dtype of the computation.
      count: of devices, which divides the batch.
      architecture: of the network.
    """
    network = retrain_steps.make_network(config, architecture)
    epoch = max(1, EXAMPLES // config.retrain.batch_size)
    optimizer = retrain_steps.make_optimizer(config, epoch)
    state = jax.eval_shape(retrain_steps.make_init(config, network, optimizer))
    batch = _batch(config, config.retrain.batch_size, count)
    function = retrain_steps.make_step(config, network, optimizer)
    return Step(function, (state, batch), state.params)


def find_architecture(config: ConfigDict, path: str | None) -> tuple[Architecture, str]:
    """What to retrain, and in words where it comes from.

    Args:
      config: resolved.
      path: of an `architecture.json`; None: one is drawn, as method random does.

    Raises:
      InputError: the file is none, or of another space or size than the config's; or
        no draw meets the config's budget.
    """
    if path:
        path = storage.named("--architecture", path)
        architecture = load(path)
        check_architecture(config, architecture, path)
        return architecture, path
    drawn = config.copy_and_resolve_references()
    drawn.method = "random"
    if drawn.derive not in METHODS["random"].derivations:
        drawn.derive = METHODS["random"].derivations[0]
    space = config_lib.space(config)
    macro = config_lib.macro(config)
    kept = make_method(drawn, space, macro).draw(0)
    architecture = from_kept(space, kept, macro)
    total = architecture.cost()
    return architecture, (
        f"drawn at random (derive {drawn.derive}, seed {config.seed}), "
        f"{total.madds / 1e6:.1f}M MAdds, {total.params / 1e6:.2f}M parameters"
    )


def _batch(config: ConfigDict, batch_size: int, count: int) -> dict[str, Any]:
    """Shapes of a training batch, split over the devices."""
    data, rows = config.dataset, (count, batch_size // count)
    image = (*rows, data.image_size, data.image_size, data.channels)
    return {
        "image": jax.ShapeDtypeStruct(image, np.uint8),
        "draws": jax.ShapeDtypeStruct((*rows, DRAWS), np.float32),
        "label": jax.ShapeDtypeStruct(rows, np.int32),
    }


def _bytes(tree: Any) -> int:
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))
