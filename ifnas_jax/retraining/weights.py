"""Weights of another run's network, which a retraining may start from."""

from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from ml_collections import ConfigDict

from ifnas_jax.architecture import Architecture
from ifnas_jax.errors import InputError
from ifnas_jax.retraining.step import State, make_init, make_network, make_optimizer
from ifnas_jax.retraining.trained import load_trained
from ifnas_jax.run import given
from ifnas_jax.runtime import distributed

# What may be drawn anew: each head's last layer, of other classes, and a whole head
# that the other network has been trained without.
_LAST, _AUXILIARY = "dense", "auxiliary"


def check(config: ConfigDict, architecture: Architecture) -> None:
    """Refuses weights that a network can't start from.

    Args:
      config: its `retrain.weights` is the workdir of a run, or empty.
      architecture: of the network.

    Raises:
      InputError: there are none, or they don't fit.
    """
    if config.retrain.weights:
        network = make_network(config, architecture)
        optimizer = make_optimizer(config, epoch=1)  # of any length
        # They are read again when they are put: here to refuse before the workdir is
        # taken, and in process 0 alone.
        shapes = jax.eval_shape(make_init(config, network, optimizer))
        _put(config, architecture, shapes)


def start_with(config: ConfigDict, architecture: Architecture, state: State) -> State:
    """The state at step 0 with the weights that the config names, if it does.

    They and the running statistics are the other's; what it lacks stays as drawn.

    Raises:
      InputError: as `check`.
    """
    if not config.retrain.weights:
        return state
    states: list[State] = []
    # Process 0 alone need see the run.
    distributed.from_primary(lambda: states.append(_put(config, architecture, state)))
    return distributed.share(states[0] if states else None, state)


def _put(config: ConfigDict, architecture: Architecture, state: State) -> State:
    """The state, or its shapes, with what fits of the other network in its place."""
    path = config.retrain.weights
    try:
        trained = load_trained(path)
    except InputError as error:
        raise InputError(f"retrain.weights: {error}") from error
    theirs = trained.network.architecture
    if given.checksum(theirs) != given.checksum(architecture):
        raise InputError(
            f"retrain.weights is {path!r}, whose network is another architecture; name "
            "a run of this one, or leave it out."
        )
    ours = {"params": state.params, "batch_stats": state.batch_stats}
    put = _fitted(ours, trained.variables, path)
    return state._replace(params=put["params"], batch_stats=put["batch_stats"])


def _fitted(ours: Any, theirs: Any, path: str) -> Any:
    """Their leaves in place of ours; both are trees of dicts.

    Raises:
      InputError: one that only they could give is missing, or of another shape.
    """
    found, other_leaves = flatten_dict(ours), flatten_dict(theirs)
    for name, leaf in found.items():
        other = other_leaves.get(name)
        if other is not None and np.shape(other) == np.shape(leaf):
            found[name] = other
        elif _LAST not in name and _AUXILIARY not in name:
            has = "none" if other is None else f"one of shape {np.shape(other)}"
            raise InputError(
                f"retrain.weights is {path!r}, which has {has} of {'/'.join(name)}, "
                f"here of shape {np.shape(leaf)}; name a run of this architecture at "
                "this width and stem, or leave it out."
            )
    return unflatten_dict(found)
