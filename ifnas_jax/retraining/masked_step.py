"""One step of training a network as the part of a super-network that a mask leaves."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ifnas_jax import training
from ifnas_jax.architecture import Architecture
from ifnas_jax.architecture.masks import Kept
from ifnas_jax.nn.initial import draw
from ifnas_jax.nn.supernet import Supernet
from ifnas_jax.runtime import distributed


class State(NamedTuple):
    """What a step updates; `kept` says which pairs there are, and stays."""

    step: Any
    params: Any
    optimizer: Any
    kept: Kept


class Group(NamedTuple):
    """Networks that are trained at a time, and what they have in common.

    Attributes:
      config: of the training.
      net: the super-network that they are parts of.
      optimizer: of the weights.
      images: the training split.
      lanes: how many networks there are at a time; 1: alone, without their axis.
      mesh: of the devices.
      total: steps.
      epoch: steps in one.
    """

    config: ConfigDict
    net: Supernet
    optimizer: Any
    images: Sequence
    lanes: int
    mesh: jax.sharding.Mesh
    total: int
    epoch: int

    def stack(self, trees: Sequence[Any]) -> Any:
        """Trees of all lanes as the program takes them."""
        return training.stack(trees) if self.lanes > 1 else trees[0]


def initial_state(group: Group, architecture: Architecture, seed: int) -> State:
    """The state at step 0, on the host."""
    params = draw(group.net.init, jax.random.split(jax.random.key(seed), 3)[2])
    state = State(
        np.zeros((), np.int32),
        params,
        group.optimizer.init(params),
        tuple(s.kept(group.net.space.operators) for s in architecture.stages),
    )
    return jax.device_get(state)


def logits_of(net: Supernet, params, kept: Kept, images) -> jax.Array:
    """Of the network that a mask leaves: each node the plain sum of its operators."""
    weights = [jnp.asarray(stage, jnp.float32) for stage in kept]
    return net.apply(params, weights, [jnp.asarray(stage) for stage in kept], images)


def make_step(group: Group) -> Callable:
    """The train step of one network: (state, batch) -> (state, metrics)."""
    net, fields = group.net, group.config.retrain
    prepare = training.preparer(group.config.dataset)

    def train_step(state: State, batch):
        def loss_of(params, part):
            logits = logits_of(net, params, state.kept, prepare(part))
            labels = part["label"]
            loss = training.cross_entropy(logits, labels, fields.label_smoothing)
            return loss, {"loss": loss, "accuracy": training.accuracy(logits, labels)}

        gradient_of = functools.partial(jax.grad(loss_of, has_aux=True), state.params)
        gradient = training.accumulated(gradient_of, batch, fields.accumulate)
        gradient, metrics = jax.lax.pmean(gradient, distributed.AXIS)
        active = net.active_params(state.params, [jnp.asarray(x) for x in state.kept])
        updates, optimizer = group.optimizer.update(
            gradient, state.optimizer, state.params, active=active
        )
        params = jax.tree.map(jnp.add, state.params, updates)
        return State(state.step + 1, params, optimizer, state.kept), metrics

    return train_step
