"""One step of a search, compiled once: whatever changes over a search is data."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ifnas_jax import cost, distributed, training
from ifnas_jax.data.augment import eval_transform
from ifnas_jax.data.pipeline import eval_batches
from ifnas_jax.data.source import Dataset
from ifnas_jax.methods.interface import Method
from ifnas_jax.nn.supernet import Supernet
from ifnas_jax.schedule import SearchSchedule, search_rate


class State(NamedTuple):
    """What a step updates, on the devices."""

    step: jax.Array
    params: Any
    arch: Any
    params_optimizer: Any
    arch_optimizer: Any


class Search(NamedTuple):
    """What stays the same over a search."""

    config: ConfigDict
    method: Method
    net: Supernet
    target: cost.Macro
    schedule: SearchSchedule


class Steps(NamedTuple):
    """What is compiled: the train step, and accuracy on the validation part."""

    train: jax.stages.Compiled
    validate: Callable[[State, Any], float] | None


def _optimizers(job: Search):
    fields = job.config.search
    rate = search_rate(job.config, job.schedule)
    params = training.sgd(rate, fields.momentum, fields.weight_decay, fields.clip)
    arch = training.sgd(
        fields.arch_learning_rate, fields.arch_momentum, fields.arch_weight_decay
    )
    return params, arch


def initial_state(job: Search) -> State:
    """The state at step 0, on the host."""
    # The third is retraining's.
    params_rng, arch_rng, _ = jax.random.split(jax.random.key(job.config.seed), 3)
    params_optimizer, arch_optimizer = _optimizers(job)

    @jax.jit
    def init():
        params, arch = job.net.init(params_rng), job.method.init(arch_rng)
        return State(
            jnp.zeros((), jnp.int32),
            params,
            arch,
            params_optimizer.init(params),
            arch_optimizer.init(arch),
        )

    return jax.device_get(init())


def make_step(job: Search) -> Callable:
    """The train step: (state, stacked masks, (μ1, μ2), batch) -> (state, metrics).

    One program for every phase, group and pruning: which parameters move is data.
    """
    params_optimizer, arch_optimizer = _optimizers(job)
    schedule, method, net = job.schedule, job.method, job.net

    def train_step(state: State, masks, mu, batch):
        now = jax.tree.map(lambda mask: mask[schedule.mask(state.step)], masks)

        def loss_of(params, arch):
            active = [stage.active for stage in now]
            logits = net.apply(
                params, method.weights(arch, now), active, batch["image"]
            )
            loss = training.cross_entropy(logits, batch["label"])
            edges, operators = method.penalty(arch, now)
            penalty = mu[0] * edges + mu[1] * operators
            accuracy = training.accuracy(logits, batch["label"])
            return loss + penalty, {"loss": loss, "accuracy": accuracy}

        gradient = jax.grad(loss_of, argnums=(0, 1), has_aux=True)
        (d_params, d_arch), metrics = gradient(state.params, state.arch)
        d_params, d_arch, metrics = jax.lax.pmean(
            (d_params, d_arch, metrics), distributed.AXIS
        )
        updates, params_state = params_optimizer.update(
            d_params,
            state.params_optimizer,
            state.params,
            active=net.active_params(state.params, [s.active for s in now]),
        )
        arch_updates, arch_state = arch_optimizer.update(
            d_arch,
            state.arch_optimizer,
            state.arch,
            active=moving_gates(now, state.step, schedule),
        )
        add = lambda x, y: x + y  # noqa: E731
        state = State(
            state.step + 1,
            jax.tree.map(add, state.params, updates),
            jax.tree.map(add, state.arch, arch_updates),
            params_state,
            arch_state,
        )
        return state, metrics

    return train_step


def moving_gates(now, step, schedule: SearchSchedule) -> dict[str, Any]:
    """Which gates move: surviving ones of learning nodes, each in its phase."""
    beta, alpha = step >= schedule.beta, step >= schedule.alpha
    return {
        "beta": tuple(s.active.any(axis=-1) & s.learned[:, None] & beta for s in now),
        "alpha": tuple(s.active & s.learned[:, None, None] & alpha for s in now),
    }


def make_validation_step(job: Search) -> Callable:
    """(params, arch, stacked masks, batch) -> hits of the whole network.

    Batch norm uses the batch's statistics, so batches must be full.
    """

    def validation_step(params, arch, masks, batch):
        now = jax.tree.map(lambda mask: mask[0], masks)
        active = [stage.active for stage in now]
        weights = job.method.weights(arch, now)
        logits = job.net.apply(params, weights, active, batch["image"])
        return training.count_hits(logits, batch["label"], batch["mask"])

    return validation_step


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


def compile_steps(
    job: Search, dataset: Dataset, state: State, batch: Any
) -> tuple[Steps, float]:
    """Compiles the steps; all else that a search runs is NumPy.

    Args:
      job: the search.
      dataset: its validation part is read.
      state: of the step where it begins.
      batch: a training batch, split over the devices.

    Returns:
      The steps, and the seconds that compiling took.
    """
    masks = job.method.masks(job.net.space.full())
    arguments = state, masks, np.zeros(2, np.float32), batch
    train, seconds = training.compile_step(make_step(job), arguments)
    if not job.config.search.valid_every:
        return Steps(train, None), seconds
    arguments = state.params, state.arch, masks, training.evaluation_batch(batch)
    step = make_validation_step(job)
    compiled, more = training.compile_step(step, arguments, donate=False)
    part = validation_batches(job.config, dataset)

    def validate(state: State, masks) -> float:
        arguments = state.params, state.arch, masks
        return training.evaluate(compiled, arguments, part)["top1"]

    return Steps(train, validate), seconds + more
