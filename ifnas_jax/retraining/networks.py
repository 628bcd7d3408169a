"""Many small networks of one space, trained side by side: a mask a lane.

Each is trained from scratch by the recipe of retraining, as a part of the super-network
of its space that its mask leaves, without gates; weights, data order and augmentation
are each its own. Two things differ from retraining one: there is no auxiliary head, and
no running statistics, so that networks are tested with those of full batches.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from ifnas_jax import training
from ifnas_jax.architecture import Architecture
from ifnas_jax.architecture.kept import used_operators
from ifnas_jax.data.augment import eval_transform, train_transform
from ifnas_jax.data.pipeline import eval_batches, train_batches
from ifnas_jax.data.source import Dataset
from ifnas_jax.data.views import Joined
from ifnas_jax.errors import DivergedError, InputError
from ifnas_jax.methods.schedule import retrain_steps
from ifnas_jax.nn.nodes import SKIPPING
from ifnas_jax.nn.supernet import Supernet
from ifnas_jax.report.progress import Progress
from ifnas_jax.retraining.masked_step import (
    Group,
    State,
    initial_state,
    logits_of,
    make_step,
)
from ifnas_jax.retraining.step import make_optimizer
from ifnas_jax.runtime import distributed


def train_networks(
    architectures: Sequence[Architecture],
    dataset: Dataset,
    config: ConfigDict,
    *,
    seeds: Sequence[int] | None = None,
    test_epochs: Sequence[int] = (),
    lanes: int | None = None,
) -> list[list[dict[str, float]]]:
    """Trains many networks, with one compiled step, and tests each of them.

    Args:
      architectures: of one space, with the same sizes.
      dataset: as `open_dataset` opens it: trained on the whole training split, tested
        on the test part, in full batches (a rest is left out).
      config: its `retrain`, `dataset` and `dtype` are read, its `search.skipping`, and
        its `seed` where `seeds` are not given.
      seeds: of each network, for its weights, data order and augmentation.
      test_epochs: after which to test too; after the last one always.
      lanes: how many to train at a time; by default one on a CPU, else all.

    Returns:
      For each network, in their order, a row for each test: "epoch", "loss" and
      "accuracy" (of the training since the last row), "top1" and "top5" (fractions).
      One whose loss is not finite has no rows from there on. Nothing is written.

    Raises:
      InputError: the networks differ in space or sizes, there are none, they have
        another number of classes than the data, the devices don't divide a batch,
        there are several processes, or an argument does not fit.
    """
    seeds = [config.seed] * len(architectures) if seeds is None else list(seeds)
    _check(architectures, seeds, dataset, config)
    tested = _test_epochs(test_epochs, config.retrain.epochs)
    group = _group(architectures, dataset, config, lanes)
    rows: list[list[dict[str, float]]] = []
    steps = None
    firsts = range(0, len(architectures), group.lanes)
    with Progress("networks", len(firsts) * group.total) as progress:
        for done, first in enumerate(firsts):
            chosen = range(first, min(first + group.lanes, len(architectures)))
            # The last group repeats its first network where it is not full.
            filled = [*chosen, *[first] * (group.lanes - len(chosen))]
            states = [initial_state(group, architectures[n], seeds[n]) for n in filled]
            with ExitStack() as stack:
                opened = [_batches(group, seeds[n], stack) for n in filled]
                batch = [next(own) for own in opened]
                if steps is None:
                    progress.note("networks: compiling ...")
                    steps = _compile(group, dataset, states, batch)
                batches = itertools.chain([batch], zip(*opened, strict=True))
                show = functools.partial(_show, progress, done * group.total)
                told = _train(group, steps, states, batches, tested, show)
            rows += told[: len(chosen)]
    return rows


def _show(progress: Progress, before: int, step: int) -> None:
    progress.update(before + step)


def _test_epochs(asked: Sequence[int], last: int) -> set[int]:
    tested = {*asked, last}
    if not 0 < min(tested) <= max(tested) <= last:
        raise InputError(
            f"test_epochs is {list(asked)}, but there are epochs 1 to {last}; choose "
            "among them."
        )
    return tested


def _check(architectures, seeds, dataset: Dataset, config: ConfigDict) -> None:
    if not architectures:
        raise InputError("architectures is empty; give at least one.")
    first = architectures[0]
    for other in architectures:
        ours, theirs = _sizes(first), _sizes(other)
        if ours != theirs:
            raise InputError(
                "architectures differ in their space or sizes, but are parts of one "
                "super-network; train those of each space by themselves."
            )
    if len(seeds) != len(architectures):
        raise InputError(
            f"seeds has {len(seeds)} entries for {len(architectures)} architectures; "
            "give one for each."
        )
    if first.macro.num_classes != dataset.num_classes:
        raise InputError(
            f"architectures have {first.macro.num_classes} classes, but the data has "
            f"{dataset.num_classes}; use Architecture.with_macro(num_classes=...)."
        )
    if jax.process_count() > 1:
        raise InputError(
            f"there are {jax.process_count()} processes, but train_networks runs in "
            "one; give each its own part of the architectures."
        )
    distributed.check_batch("retrain", config.retrain)


def _sizes(architecture: Architecture) -> tuple:
    """What networks of one super-network share; not which operators they use."""
    space = architecture.space
    return space.name, space.num_precursors, space.nodes, architecture.macro


def _group(architectures, dataset: Dataset, config: ConfigDict, lanes) -> Group:
    first = architectures[0]
    edges = [stage.edges for own in architectures for stage in own.stages]
    space = dataclasses.replace(first.space, operators=used_operators(edges))
    images = Joined(dataset.train, dataset.valid)
    epoch, total = retrain_steps(config, len(images))
    optimizer = make_optimizer(config, epoch)
    if lanes is None:
        lanes = 1 if jax.default_backend() == "cpu" else len(architectures)
    if lanes < 1:
        raise InputError(f"lanes is {lanes}; give at least 1.")
    lanes = min(lanes, len(architectures))
    mesh = training.lanes_mesh(lanes)
    skipping = training.skipping_of(config)
    if lanes > 1 and config.search.skipping == "auto":
        skipping = "nodes"
    dtype = training.compute_dtype(config)
    net = Supernet(space, first.macro, dtype, add=SKIPPING[skipping])
    return Group(config, net, optimizer, images, lanes, mesh, total, epoch)


def _batches(group: Group, seed: int, stack: ExitStack) -> Iterator:
    batches = train_batches(
        group.images,
        train_transform(group.config.dataset),
        batch_size=group.config.retrain.batch_size,
        seed=seed,
        start_step=0,
        **distributed.processes(),
    )
    return stack.enter_context(closing(batches))


def _compile(group: Group, dataset: Dataset, states, batch) -> training.Steps:
    """Compiles the train step, and the test over the full batches of the test part."""
    config, step = group.config, make_step(group)
    if group.lanes > 1:
        live = np.ones(group.lanes, bool)
        arguments = live, group.stack(states), group.stack(batch)
        compiled, _ = training.compile_lanes(step, arguments, group.mesh)
        live = training.place_lanes(live, group.mesh)
        train = functools.partial(compiled, live)
    else:
        arguments = states[0], distributed.shard(batch[0])
        train, _ = training.compile_step(step, arguments)

    prepare = training.preparer(config.dataset)

    def test_step(params, kept, batch):
        logits = logits_of(group.net, params, kept, prepare(batch))
        return training.count_hits(logits, batch["label"], batch["mask"])

    example = training.evaluation_batch(distributed.shard(batch[0]))
    arguments = states[0].params, states[0].kept, example
    compiled_test, _ = training.compile_step(test_step, arguments, donate=False)
    batches = eval_batches(
        dataset.test,
        eval_transform(config.dataset),
        batch_size=config.retrain.batch_size,
        full_only=True,
        **distributed.processes(),
    )

    def test(state: State) -> dict[str, float]:
        # Once, not with each batch.
        arguments = training.place((state.params, state.kept))
        return training.evaluate(compiled_test, arguments, batches)

    return training.Steps(train, test)


def _train(
    group: Group, steps: training.Steps, states, batches, tested, show
) -> list[list[dict[str, float]]]:
    """The rows of each lane; `batches` has those of all lanes in each step."""
    many = group.lanes > 1
    state = group.stack(states)
    state = training.place_lanes(state, group.mesh) if many else training.place(state)
    meters = {n: training.Meter(at=n if many else None) for n in range(group.lanes)}
    rows: list[list[dict[str, float]]] = [[] for _ in meters]
    for step in range(1, group.total + 1):
        if not meters:  # All have diverged.
            break
        state, metrics = steps.train(state, _place(group, next(batches)))
        for meter in meters.values():
            meter.add(metrics)
        epoch, rest = divmod(step, group.epoch)
        if not rest and epoch in tested:
            host = jax.device_get(state)
            for n, meter in list(meters.items()):
                own = jax.tree.map(lambda x, n=n: x[n], host) if many else host
                try:
                    row = {"epoch": epoch, **meter.mean(step)}
                except DivergedError:
                    del meters[n]
                    continue
                rows[n].append(row | steps.evaluate(own))
        show(step)
    return rows


def _place(group: Group, batch: Sequence[Any]) -> Any:
    """The batches of all lanes in one step, on the devices."""
    own = group.stack(batch)
    if group.lanes > 1:
        return training.place_lanes(own, group.mesh, split=True)
    return training.place(distributed.shard(own), split=True)
