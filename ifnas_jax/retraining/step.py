"""One step of training a derived network."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ifnas_jax import training
from ifnas_jax.architecture import Architecture
from ifnas_jax.methods.schedule import retrain_rate
from ifnas_jax.nn.initial import draw
from ifnas_jax.nn.network import Network
from ifnas_jax.runtime import distributed


class State(NamedTuple):
    """What a step updates, on the devices."""

    step: jax.Array
    params: Any
    batch_stats: Any
    optimizer: Any


def make_network(config: ConfigDict, architecture: Architecture) -> Network:
    """The network to train, with the auxiliary head if its loss has a weight."""
    auxiliary = config.retrain.auxiliary_weight > 0
    dtype = training.compute_dtype(config)
    return Network(architecture, auxiliary, dtype, config.retrain.sync_bn)


def make_optimizer(config: ConfigDict, epoch: int):
    """SGD with the schedule of the PC-DARTS recipe; `epoch` in steps."""
    fields = config.retrain
    rate = retrain_rate(config, epoch)
    return training.sgd(rate, fields.momentum, fields.weight_decay, fields.clip)


def initial_state(config: ConfigDict, network: Network, optimizer) -> State:
    """The state at step 0, on the host; the same distributions as `make_init`'s."""
    variables = draw(_init_of(network), _key(config))
    return jax.device_get(_first(variables, optimizer))


def make_init(config: ConfigDict, network: Network, optimizer) -> Callable[[], State]:
    """A function that makes the state at step 0; tracing it tells the shapes."""
    init = _init_of(network)
    return lambda: _first(init(_key(config)), optimizer)


def _key(config: ConfigDict) -> jax.Array:
    """Another stream than the search's of the same seed."""
    return jax.random.split(jax.random.key(config.seed), 3)[2]


def _init_of(network: Network) -> Callable[[jax.Array], Any]:
    """Linen's init: (a key) -> variables."""
    macro = network.architecture.macro
    shape = (1, macro.image_size, macro.image_size, macro.channels)
    # The sizes of the running statistics don't depend on the axis of `sync_bn`, which
    # does not exist here.
    local = network.clone(sync_bn=False)
    return lambda rng: local.init(rng, jnp.zeros(shape), train=True)


def _first(variables: Any, optimizer) -> State:
    params, stats = variables["params"], variables["batch_stats"]
    return State(np.zeros((), np.int32), params, stats, optimizer.init(params))


def make_step(config: ConfigDict, network: Network, optimizer) -> Callable:
    """The train step: (state, batch) -> (state, metrics)."""
    fields, prepare = config.retrain, training.preparer(config.dataset)

    def train_step(state: State, batch):
        def loss_of(params, part):
            variables = {"params": params, "batch_stats": state.batch_stats}
            (logits, auxiliary), new = network.apply(
                variables, prepare(part), train=True, mutable=["batch_stats"]
            )
            labels = part["label"]
            loss = training.cross_entropy(logits, labels, fields.label_smoothing)
            metrics = {"loss": loss, "accuracy": training.accuracy(logits, labels)}
            if auxiliary is not None:
                loss += fields.auxiliary_weight * training.cross_entropy(
                    auxiliary, labels, fields.label_smoothing
                )
            return loss, (new["batch_stats"], metrics)

        gradient_of = functools.partial(jax.grad(loss_of, has_aux=True), state.params)
        gradient, aux = training.accumulated(gradient_of, batch, fields.accumulate)
        # Each device and part normalises by its own statistics; what is kept is their
        # mean, so that every device keeps the same.
        gradient, (stats, metrics) = jax.lax.pmean((gradient, aux), distributed.AXIS)
        active = jax.tree.map(lambda _: True, state.params)
        updates, optimizer_state = optimizer.update(
            gradient, state.optimizer, state.params, active=active
        )
        params = jax.tree.map(lambda x, y: x + y, state.params, updates)
        return State(state.step + 1, params, stats, optimizer_state), metrics

    return train_step
