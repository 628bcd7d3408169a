"""One step of a search, compiled once: whatever changes over a search is data."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ifnas_jax import training
from ifnas_jax.architecture import cost
from ifnas_jax.architecture.masks import Kept, Masks, whole
from ifnas_jax.data.augment import eval_transform, train_transform
from ifnas_jax.data.halves import Paired, halves
from ifnas_jax.data.pipeline import eval_batches, train_batches
from ifnas_jax.data.source import Dataset
from ifnas_jax.methods.interface import Method
from ifnas_jax.methods.schedule import SearchSchedule, search_rate
from ifnas_jax.nn.initial import draw
from ifnas_jax.nn.supernet import Supernet
from ifnas_jax.runtime import distributed
from ifnas_jax.searching import bilevel


class State(NamedTuple):
    """What a step updates, on the devices."""

    step: jax.Array
    params: Any
    arch: Any
    params_optimizer: Any
    arch_optimizer: Any


class Search(NamedTuple):
    """What stays the same over a search; `macro` has the derived network's sizes."""

    config: ConfigDict
    method: Method
    net: Supernet
    macro: cost.Macro
    schedule: SearchSchedule

    def madds(self, kept: Kept) -> int:
        """MAdds of a network that keeps some pairs, at the derived network's sizes."""
        return cost.network_cost(self.net.space, self.macro, kept).madds


def _optimizers(job: Search):
    fields, other = job.config.search, job.config.bilevel
    rate = search_rate(job.config, job.schedule)
    params = training.sgd(rate, fields.momentum, fields.weight_decay, fields.clip)
    if job.method.order:
        arch = training.adam(
            other.learning_rate, other.b1, other.b2, other.weight_decay
        )
    else:
        arch = training.sgd(
            fields.arch_learning_rate, fields.arch_momentum, fields.arch_weight_decay
        )
    return params, arch


def initial_state(job: Search) -> State:
    """The state at step 0, on the host; the same distributions as `make_init`'s."""
    params_rng, arch_rng = _keys(job)
    arch = training.jit_once(job.method.init)(arch_rng)
    return jax.device_get(_first(job, draw(job.net.init, params_rng), arch))


def make_init(job: Search) -> Callable[[], State]:
    """A function that makes the state at step 0; tracing it tells the shapes."""
    params_rng, arch_rng = _keys(job)
    return lambda: _first(job, job.net.init(params_rng), job.method.init(arch_rng))


def _keys(job: Search) -> tuple[jax.Array, jax.Array]:
    """Of the parameters and of the architecture; the third is retraining's."""
    params, arch, _ = jax.random.split(jax.random.key(job.config.seed), 3)
    return params, arch


def _first(job: Search, params: Any, arch: Any) -> State:
    optimizers = _optimizers(job)
    states = [
        one.init(own) for one, own in zip(optimizers, (params, arch), strict=True)
    ]
    return State(np.zeros((), np.int32), params, arch, *states)


def make_step(job: Search) -> Callable:
    """The train step: (state, stacked masks, (μ1, μ2), batch) -> (state, metrics).

    One program for every phase, group and pruning: which parameters move is data. A
    bi-level method's batch has another one inside, as "arch", which moves the
    architecture; the weights then follow on their own batch.
    """
    params_optimizer, arch_optimizer = _optimizers(job)
    schedule, method, net = job.schedule, job.method, job.net
    prepare = training.preparer(job.config.dataset)
    parts = job.config.search.accumulate

    def train_step(state: State, masks, mu, batch):
        now = jax.tree.map(lambda mask: mask[schedule.mask(state.step)], masks)
        active = [stage.active for stage in now]

        def loss_of(params, arch, batch):
            weights = method.weights(arch, now)
            logits = net.apply(params, weights, active, prepare(batch))
            loss = training.cross_entropy(logits, batch["label"])
            accuracy = training.accuracy(logits, batch["label"])
            return loss, {"loss": loss, "accuracy": accuracy}

        def penalized(params, arch, batch):
            loss, metrics = loss_of(params, arch, batch)
            return loss + method.penalty(arch, now, mu), metrics

        def move_arch(d_arch):
            moving = method.moves(now, state.step, schedule)
            old = state.arch_optimizer
            return _update(arch_optimizer, _mean(d_arch), old, state.arch, moving)

        if method.order:
            d_arch = _bilevel_gradient(job, state, loss_of, penalized, batch)
            arch, arch_state = move_arch(d_arch)
            gradient_of = jax.grad(loss_of, has_aux=True)
            gradient = functools.partial(gradient_of, state.params, arch)
            d_params, metrics = training.accumulated(gradient, batch, parts)
        else:
            gradient_of = jax.grad(penalized, argnums=(0, 1), has_aux=True)
            gradient = functools.partial(gradient_of, state.params, state.arch)
            (d_params, d_arch), metrics = training.accumulated(gradient, batch, parts)
            arch, arch_state = move_arch(d_arch)
        d_params, metrics = _mean((d_params, metrics))
        trained, old = net.active_params(state.params, active), state.params_optimizer
        params, params_state = _update(
            params_optimizer, d_params, old, state.params, trained
        )
        return State(state.step + 1, params, arch, params_state, arch_state), metrics

    return train_step


def _update(optimizer, gradient, state, values, active) -> tuple[Any, Any]:
    """Values after an update of those that are active, and the optimizer's state."""
    updates, state = optimizer.update(gradient, state, values, active=active)
    return jax.tree.map(jnp.add, values, updates), state


def _mean(tree: Any) -> Any:
    """The mean over the devices."""
    return jax.lax.pmean(tree, distributed.AXIS)


def _bilevel_gradient(job: Search, state: State, loss_of, penalized, batch) -> Any:
    """Gradient of the architecture on its own batch; 0 while the weights train alone.

    Which phase it is, all devices agree on, so that they can reduce inside it.
    """
    fields = job.config.search

    def loss(params, arch):
        return loss_of(params, arch, batch)[0]

    def arch_loss(params, arch, batch=batch["arch"]):
        return penalized(params, arch, batch)[0]

    def first_order(part):
        own_loss = functools.partial(arch_loss, batch=part)
        return bilevel.first_order(own_loss, state.params, state.arch)

    def gradient(state):
        if job.method.order == 1:
            return training.accumulated(first_order, batch["arch"], fields.accumulate)
        return bilevel.second_order(
            loss,
            arch_loss,
            state.params,
            state.arch,
            training.momentum_trace(state.params_optimizer),
            rate=search_rate(job.config, job.schedule)(state.step),
            momentum=fields.momentum,
            weight_decay=fields.weight_decay,
            reduce=_mean,
        )

    def nothing(state):
        return jax.tree.map(jnp.zeros_like, state.arch)

    return jax.lax.cond(state.step >= job.schedule.beta, gradient, nothing, state)


def make_validation_step(job: Search) -> Callable:
    """(params, arch, masks of one step, batch) -> hits of the network in the masks.

    Batch norm uses the batch's statistics, so batches must be full.
    """
    prepare = training.preparer(job.config.dataset)

    def validation_step(params, arch, masks, batch):
        active = [stage.active for stage in masks]
        weights = job.method.weights(arch, masks)
        logits = job.net.apply(params, weights, active, prepare(batch))
        return training.count_hits(logits, batch["label"], batch["mask"])

    return validation_step


def make_batches(config: ConfigDict, dataset: Dataset, order: int, step: int):
    """This process' training batches from a step on; if bi-level, both kinds.

    The weights then train on one half of the training part, the architecture on the
    other.
    """

    def batches(examples, seed):
        return train_batches(
            examples,
            train_transform(config.dataset),
            batch_size=config.search.batch_size,
            seed=seed,
            start_step=step,
            **distributed.processes(),
        )

    if not order:
        return batches(dataset.train, config.seed)
    ours, theirs = halves(dataset.train, config.seed)
    own = batches(ours, config.seed)
    return Paired(own, batches(theirs, config.seed + 1))


def validation_batches(config: ConfigDict, dataset: Dataset) -> Iterable:
    """The validation part in full batches, since batch norm uses their statistics.

    Raises:
      InputError: the part fills no batch.
    """
    return eval_batches(
        dataset.valid,
        eval_transform(config.dataset),
        batch_size=config.search.batch_size,
        full_only=True,
        **distributed.processes(),
    )


def step_arguments(job: Search, state: State, batch: Any) -> tuple:
    """An example of what the train step takes."""
    masks = job.method.masks(job.net.space.full(), 0)
    return state, masks, np.zeros(2, np.float32), batch


def compile_steps(
    job: Search, dataset: Dataset, state: State, batch: Any
) -> tuple[training.Steps, float]:
    """Compiles the steps; all else that a search runs is NumPy.

    Args:
      job: the search.
      dataset: its validation part is read.
      state: of the step where it begins.
      batch: a training batch, split over the devices.

    Returns:
      The steps, and the seconds that compiling took.
    """
    arguments = step_arguments(job, state, batch)
    train, seconds = training.compile_step(make_step(job), arguments)
    evaluate, more = compile_validation(job, dataset, state, batch)
    return training.Steps(train, evaluate), seconds + more


def compile_validation(
    job: Search, dataset: Dataset, state: State, batch: Any
) -> tuple[Callable | None, float]:
    """As `compile_steps`, of what evaluates; None where nothing asks for it."""
    if not (job.config.search.valid_every or job.method.draw):
        return None, 0.0
    masks = whole(job.net.space.full(), learned=False)
    arguments = state.params, state.arch, masks, training.evaluation_batch(batch)
    step = make_validation_step(job)
    compiled, seconds = training.compile_step(step, arguments, donate=False)
    batches = validation_batches(job.config, dataset)

    def validate(state: State, masks: Masks) -> float:
        arguments = state.params, state.arch, masks
        return training.evaluate(compiled, arguments, batches)["top1"]

    return validate, seconds
