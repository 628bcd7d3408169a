"""The search job: train the super-network, prune it, derive an architecture.

`search` reads from top to bottom as what happens. A run that is started again goes on
at its newest checkpoint and ends with the same bytes as one that was not interrupted.
"""

import os
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax import cost, distributed, files, pruning, storage, training
from ifnas_jax.architecture import Architecture, from_kept
from ifnas_jax.checkpoint import Checkpoints, check_finite
from ifnas_jax.data.source import Dataset
from ifnas_jax.errors import PreemptedError
from ifnas_jax.logs import CandidateLog, SearchLogs
from ifnas_jax.masks import Kept, Masks, rerouted, unlearned, whole
from ifnas_jax.methods import make_method
from ifnas_jax.methods.interface import Event, Gates
from ifnas_jax.methods.sampling import modulus
from ifnas_jax.nn.branches import distinct_branches
from ifnas_jax.nn.supernet import Supernet
from ifnas_jax.report.progress import Progress
from ifnas_jax.resume import Progressed, restore, save
from ifnas_jax.schedule import search_rate, search_schedule
from ifnas_jax.search_step import (
    Search,
    State,
    Steps,
    compile_steps,
    make_batches,
)


class Writers(NamedTuple):
    """Where a search leaves what it does."""

    checkpoints: Checkpoints
    logs: SearchLogs
    progress: Progress


def search(
    config: ConfigDict, dataset: Dataset, workdir: str, supernet: Callable = Supernet
) -> None:
    """Searches, and writes `architecture.json` and `summary.json` under `search/`.

    Does nothing if that is done already.

    Args:
      config: checked by `check_run`.
      dataset: its training and validation parts are read, never the test part.
      workdir: of the run.
      supernet: makes the super-network; another one for experiments.

    Raises:
      InputError: only last pairs are left, and they cost more than the target; or no
        architecture that was drawn meets it.
      DivergedError: the loss is not finite.
      StorageError: the workdir or the data can't be used any more.
      PreemptedError: SIGTERM came, and a checkpoint is saved.
    """
    directory = os.path.join(workdir, "search")
    path = os.path.join(directory, "architecture.json")
    if distributed.from_primary(lambda: storage.exists(path)):
        return
    job = make_search(config, dataset, supernet)
    distributed.catch_termination()
    if distributed.is_primary():
        storage.make_folder(directory)
    if job.method.trains:
        architecture, summary = _train(job, dataset, directory)
    else:
        architecture, summary = _draw(job)
    if distributed.is_primary():
        files.write_json(os.path.join(directory, "summary.json"), summary)
        # Last, with the logs closed: its presence says that the search is done.
        architecture.save(path)


def _draw(job: Search) -> tuple[Architecture, dict[str, Any]]:
    """A method without a super-network: the seed decides."""
    architecture = from_kept(job.net.space, job.method.draw(0), job.target)
    met_by = "drawing" if job.config.derive == "target" else None
    return architecture, _summary(0, 0.0, 0.0, met_by)


def _train(job: Search, dataset: Dataset, directory: str):
    """Trains the super-network and derives; the architecture and a summary."""
    with closing(Checkpoints(os.path.join(directory, "checkpoints"))) as checkpoints:
        state, host, rows = restore(checkpoints, job)
        step = int(state.step)
        with (
            closing(SearchLogs(directory, step, job.config.tensorboard)) as logs,
            closing(make_batches(job.config, dataset, job.method.order, step)) as (
                batches
            ),
            Progress("search", job.schedule.total) as progress,
        ):
            logs.expect(step - len(rows))
            progress.note("search: compiling ...")
            steps, seconds = compile_steps(job, dataset, state, batches.peek())
            progress.note(f"search: compiled in {seconds:.1f} s")
            host = host._replace(compile_seconds=host.compile_seconds + seconds)
            writers = Writers(checkpoints, logs, progress)
            meter = training.Meter(rows)
            state, host = _loop(job, steps, state, host, meter, batches, writers)
            final = jax.device_get(state)
            check_finite(final, int(final.step))
            if job.method.draw:
                # Candidates are ranked by these weights, also if it goes on elsewhere.
                if checkpoints.newest != int(final.step):
                    save(job, checkpoints, state, host, [])
                kept, met_by = _choose(job, steps, state, directory)
            else:
                kept, met_by = _derive(job, final, host.kept, logs)
            step = int(final.step)
            architecture = from_kept(job.net.space, kept, job.target)
            logs.write_architecture(step, architecture)
    return architecture, _summary(step, host.seconds, host.compile_seconds, met_by)


def _loop(job, steps, state, host, meter, batches, writers) -> tuple[State, Progressed]:
    """Trains until the target is met or the schedule ends."""
    step, schedule = int(state.step), job.schedule
    started = time.perf_counter() - host.seconds
    masks, retained = _between_loops(job, host.kept, step)
    mu = None
    while step < schedule.total and not _done(job, host.kept):
        first = step - step % schedule.period
        if step == first or mu is None:
            mu = job.method.mu(schedule, host.strength, first)
            placed_mu = training.place(mu)
        state, metrics = steps.train(state, masks, placed_mu, next(batches))
        meter.add(metrics)
        step += 1
        if step % schedule.period == 0:
            row = _describe(job, first, step, mu) | meter.mean(step)
            if step % schedule.loop == 0:
                host, extra = _end_of_loop(job, steps, state, host, step, writers.logs)
                masks, retained = _between_loops(job, host.kept, step)
                row |= extra
            writers.logs.write(row | retained)
        writers.progress.update(step, **writers.logs.progress)
        host = host._replace(seconds=time.perf_counter() - started)
        preempted = distributed.preempted()
        due = step % (schedule.loop * job.config.search.checkpoint_every) == 0
        if due or preempted:
            writers.logs.sync()
            save(job, writers.checkpoints, state, host, meter.rows())
        if preempted:
            raise PreemptedError
    return state, host


def make_search(
    config: ConfigDict, dataset: Dataset, supernet: Callable = Supernet
) -> Search:
    """What stays the same over a search."""
    space, target = config_lib.space(config), config_lib.macro(config)
    method = make_method(config, space)
    schedule = search_schedule(config, len(dataset.train), modulus(config, space) + 1)
    branches = ()
    if config.search.skipping == "branches":
        branches = distinct_branches(method.masks(space.full(), 0))
    net = supernet(
        space,
        config_lib.search_macro(config),
        training.compute_dtype(config),
        method.wrap,
        method.width,
        branches,
    )
    return Search(config, method, net, target, schedule)


def _done(job: Search, kept: Kept) -> bool:
    """Whether gradual pruning is through: at its target, or with nothing to remove."""
    if not job.method.prune:
        return False
    if job.config.derive == "prune":
        return _madds(job, kept) <= job.config.target_madds
    inputs = pruning.INPUTS[job.config.derive]
    return all((stage.any(axis=2).sum(axis=1) <= inputs).all() for stage in kept)


def _madds(job: Search, kept: Kept) -> int:
    return cost.network_cost(job.net.space, job.target, kept).madds


def _between_loops(job: Search, kept: Kept, step: int):
    """The next loop's masks, on the devices, and what is retained, in numbers."""
    masks = job.method.masks(kept, step // job.schedule.loop)
    return training.place(masks), _retained(job, kept, masks)


def _retained(job: Search, kept: Kept, masks: Masks) -> dict[str, int]:
    """The retained architecture in numbers."""
    architecture = from_kept(job.net.space, kept, job.target)
    return {
        "edges": sum(len(stage.edges) for stage in architecture.stages),
        "madds": architecture.cost().madds,
        "depth": architecture.depth(),
        "rerouted": rerouted(kept),
        "unlearned": unlearned(kept, masks),
    }


def _describe(job: Search, first: int, step: int, mu: np.ndarray) -> dict[str, Any]:
    """What a sampling step was, from its first to its last update."""
    return {
        "step": step,
        "epoch": round(step / job.schedule.epoch, 4),
        "phase": job.schedule.phase(first),
        "group": int(job.schedule.mask(first)),
        "mu1": float(mu[0]),
        "mu2": float(mu[1]),
        "learning_rate": float(search_rate(job.config, job.schedule)(first)),
    }


def _end_of_loop(job, steps, state, host, step, logs):
    """Prunes, adapts μ, evaluates: once a loop, after its last sampling step."""
    gates = job.method.gates(jax.device_get(state.arch), host.kept)
    if step > job.schedule.prune:
        host = _prune(job, gates, host, step, logs)
    logs.write_gates(step, gates, host.kept)
    loop, every = step // job.schedule.loop, job.config.search.valid_every
    if every and loop % every == 0:
        masks = whole(host.kept, learned=False)
        return host, {"valid_accuracy": steps.validate(state, masks)}
    return host, {}


def _prune(job: Search, gates: Gates, host: Progressed, step: int, logs) -> Progressed:
    kept, removals = host.kept, []
    if job.method.prune:
        kept, removals = job.method.prune(kept, gates)
    logs.write_removals(step, removals)
    before, after = _madds(job, host.kept), _madds(job, kept)
    event = Event(step, before, after, len(removals))
    strength = job.method.next_strength(job.schedule, host.strength, event)
    return host._replace(kept=kept, strength=strength)


def _derive(
    job: Search, state: State, kept: Kept, logs: SearchLogs
) -> tuple[Kept, str | None]:
    """What is kept in the end, and how its target was met.

    By "pruning" while searching, or by the "fallback" of removing the weakest after
    it; None where a number of inputs is kept, which has no target.
    """
    gates = job.method.gates(state.arch, kept)
    if job.config.derive in pruning.INPUTS:
        inputs = pruning.INPUTS[job.config.derive]
        return pruning.keep_strongest(job.net.space, kept, gates.strength, inputs), None
    if _madds(job, kept) <= job.config.target_madds:
        return kept, "pruning"
    kept, removals = pruning.to_target(
        job.net.space, job.target, kept, gates.strength, job.config.target_madds
    )
    logs.write_removals(int(state.step), removals, final=True)
    return kept, "fallback"


def _choose(
    job: Search, steps: Steps, state: State, directory: str
) -> tuple[Kept, str | None]:
    """The best of many drawn architectures, by the super-network's weights.

    Those that an interrupted run has evaluated are not evaluated again.
    """
    count = job.config.random.candidates
    with (
        closing(CandidateLog(directory)) as log,
        Progress("candidates", count) as progress,
    ):
        for index in range(len(log.accuracies), count):
            masks = whole(job.method.draw(index), learned=False)
            log.write(index, steps.validate(state, masks))
            progress.update(index + 1, best=f"best {100 * max(log.accuracies):.1f}%")
            if distributed.preempted():
                raise PreemptedError
    best = log.accuracies.index(max(log.accuracies))
    met_by = "drawing" if job.config.derive == "target" else None
    return job.method.draw(best), met_by


def _summary(step: int, seconds: float, compile_seconds: float, met_by) -> dict:
    return {
        "steps": step,
        "target_met_by": met_by,
        "search_seconds": round(seconds, 1),
        "compile_seconds": round(compile_seconds, 1),
    }
