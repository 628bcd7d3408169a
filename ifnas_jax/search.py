"""The search job: train the super-network, prune it, derive an architecture.

`search` reads from top to bottom as what happens. A run that is started again goes on
at its newest checkpoint and ends with the same bytes as one that was not interrupted.
"""

import os
import time
from contextlib import closing
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax import cost, distributed, files, pruning, regularizer, training
from ifnas_jax.architecture import Architecture, from_kept
from ifnas_jax.checkpoint import Checkpoints, check_finite
from ifnas_jax.data.augment import train_transform
from ifnas_jax.data.pipeline import train_batches
from ifnas_jax.data.source import Dataset
from ifnas_jax.logs import SearchLogs
from ifnas_jax.masks import Kept, rerouted, unlearned
from ifnas_jax.methods import make_method
from ifnas_jax.methods.interface import Gates
from ifnas_jax.nn.supernet import Supernet
from ifnas_jax.regularizer import Strength
from ifnas_jax.report.progress import Progress
from ifnas_jax.schedule import search_rate, search_schedule
from ifnas_jax.search_step import Search, State, Steps, compile_steps, initial_state


class Progressed(NamedTuple):
    """What changes on the host, between loops."""

    kept: Kept
    strength: Strength
    seconds: float
    compile_seconds: float


class Writers(NamedTuple):
    """Where a search leaves what it does."""

    checkpoints: Checkpoints
    logs: SearchLogs
    progress: Progress


def search(config: ConfigDict, dataset: Dataset, workdir: str) -> None:
    """Searches, and writes `architecture.json` and `summary.json` under `search/`.

    Does nothing if that is done already.

    Args:
      config: checked by `preflight`.
      dataset: its training and validation parts are read, never the test part.
      workdir: of the run.

    Raises:
      InputError: only last pairs are left, and they cost more than the target.
      DivergedError: the loss is not finite.
    """
    directory = os.path.join(workdir, "search")
    if os.path.exists(os.path.join(directory, "architecture.json")):
        return
    job = _prepare(config, dataset)
    with closing(Checkpoints(os.path.join(directory, "checkpoints"))) as checkpoints:
        state, host = _restore(checkpoints, job)
        step = int(state.step)
        with (
            closing(SearchLogs(directory, step)) as logs,
            closing(_batches(job, dataset, step)) as batches,
            Progress("search", job.schedule.total) as progress,
        ):
            progress.note("search: compiling ...")
            steps, seconds = compile_steps(job, dataset, state, batches.peek())
            progress.note(f"search: compiled in {seconds:.1f} s")
            host = host._replace(compile_seconds=host.compile_seconds + seconds)
            writers = Writers(checkpoints, logs, progress)
            state, host = _loop(job, steps, state, host, batches, writers)
            state = jax.device_get(state)
            check_finite(state, int(state.step))
            architecture, met_by = _derive(job, state, host.kept, logs)
    _write_summary(directory, state, host, met_by)
    # Last, with the logs closed: its presence says that the search is done.
    if distributed.is_primary():
        architecture.save(os.path.join(directory, "architecture.json"))


def _loop(job, steps, state, host, batches, writers) -> tuple[State, Progressed]:
    """Trains until the target is met or the schedule ends."""
    step, schedule = int(state.step), job.schedule
    meter, started = training.Meter(), time.perf_counter() - host.seconds
    masks, retained = _masks(job, steps, host.kept), _retained(job, host.kept)
    while step < schedule.total and not _done(job, host.kept):
        mu = regularizer.mu(job.config, schedule, host.strength, step)
        first = step
        for _ in range(schedule.period):
            state, metrics = steps.train(state, masks, mu, next(batches))
            meter.add(metrics)
            step += 1
            writers.progress.update(step, **writers.logs.progress)
        row = _describe(job, first, step, mu) | meter.mean(step)
        if step % schedule.loop == 0:
            host, extra = _end_of_loop(job, steps, state, host, step, writers.logs)
            masks, retained = _masks(job, steps, host.kept), _retained(job, host.kept)
            row |= extra
        writers.logs.write(row | retained)
        host = host._replace(seconds=time.perf_counter() - started)
        if step % (schedule.loop * job.config.search.checkpoint_every) == 0:
            _save(writers.checkpoints, step, state, host)
    return state, host


def _prepare(config: ConfigDict, dataset: Dataset) -> Search:
    space, target = config_lib.space(config), config_lib.macro(config)
    method = make_method(config, space)
    num_masks = len(method.masks(space.full())[0].active)
    schedule = search_schedule(config, len(dataset.train), num_masks)
    narrow = target.at_width(config.macro.search_width)
    net = Supernet(space, narrow, training.compute_dtype(config))
    return Search(config, method, net, target, schedule)


def _batches(job: Search, dataset: Dataset, step: int):
    return training.ShardedBatches(
        train_batches(
            dataset.train,
            train_transform(job.config.dataset),
            batch_size=job.config.search.batch_size,
            seed=job.config.seed,
            start_step=step,
            **distributed.processes(),
        )
    )


def _done(job: Search, kept: Kept) -> bool:
    """Whether gradual pruning has met the target."""
    return job.config.derive == "prune" and _madds(job, kept) <= job.config.target_madds


def _madds(job: Search, kept: Kept) -> int:
    return cost.network_cost(job.target, job.net.space.operators, kept).madds


def _masks(job: Search, steps: Steps, kept: Kept) -> Any:
    """The loop's masks, on the devices: they are the same for many steps."""
    return training.place(steps.train, 1, job.method.masks(kept))


def _retained(job: Search, kept: Kept) -> dict[str, int]:
    """The retained architecture in numbers."""
    architecture = from_kept(job.net.space, kept, job.target)
    return {
        "edges": sum(len(stage.edges) for stage in architecture.stages),
        "madds": architecture.cost().madds,
        "depth": sum(architecture.depth_per_stage()),
        "rerouted": rerouted(kept),
        "unlearned": unlearned(kept, job.method.masks(kept)),
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
    gates = job.method.gates(jax.device_get(state.arch))
    if step > job.schedule.prune:
        host = _prune(job, gates, host, step, logs)
    logs.write_gates(step, gates, host.kept)
    loop = step // job.schedule.loop
    if steps.validate and loop % job.config.search.valid_every == 0:
        masks = job.method.masks(host.kept)
        return host, {"valid_accuracy": steps.validate(state, masks)}
    return host, {}


def _prune(job: Search, gates: Gates, host: Progressed, step: int, logs) -> Progressed:
    # The other derivations read gates of a whole network, as in Tables 2 and 3; the
    # regulariser is theirs too, and grows to the end.
    kept, removals = host.kept, []
    if job.config.derive == "prune":
        kept, removals = pruning.below_threshold(
            job.net.space,
            job.target,
            kept,
            gates.beta,
            gates.alpha,
            job.config.search.threshold,
            job.config.target_madds,
        )
    logs.write_removals(step, removals)
    strength = regularizer.next_strength(
        job.config,
        job.schedule,
        host.strength,
        step,
        before=_madds(job, host.kept),
        after=_madds(job, kept),
        removed=len(removals),
    )
    return host._replace(kept=kept, strength=strength)


def _save(checkpoints: Checkpoints, step: int, state: State, host: Progressed) -> None:
    facts = host._asdict()
    kept = facts.pop("kept")
    checkpoints.save(step, {"state": state._asdict(), "kept": kept}, facts)


def _restore(checkpoints: Checkpoints, job: Search) -> tuple[State, Progressed]:
    """The newest checkpoint, or the beginning."""
    state, kept = initial_state(job), job.net.space.full()
    restored = checkpoints.restore({"state": state._asdict(), "kept": kept})
    if restored is None:
        strength = Strength(0.0, job.config.penalty.delta)
        return state, Progressed(kept, strength, 0.0, 0.0)
    _, tree, facts = restored
    facts = {key: facts[key] for key in ("seconds", "compile_seconds")} | {
        "kept": tuple(tree["kept"]),
        "strength": Strength(*facts["strength"]),
    }
    return State(**tree["state"]), Progressed(**facts)


def _derive(
    job: Search, state: State, kept: Kept, logs: SearchLogs
) -> tuple[Architecture, str | None]:
    """The architecture, and how its target was met.

    By "pruning" while searching, or by the "fallback" of removing the weakest after
    it; None for keep1, which has no target.
    """
    gates, met_by = job.method.gates(state.arch), "pruning"
    if job.config.derive == "keep1":
        met_by = None
        kept = pruning.keep_one(kept, gates.beta, gates.alpha)
    elif _madds(job, kept) > job.config.target_madds:
        met_by = "fallback"
        kept, removals = pruning.to_target(
            job.net.space, job.target, kept, gates.strength(), job.config.target_madds
        )
        logs.write_removals(int(state.step), removals, final=True)
    return from_kept(job.net.space, kept, job.target), met_by


def _write_summary(directory, state: State, host: Progressed, met_by) -> None:
    if distributed.is_primary():
        summary = {
            "steps": int(state.step),
            "target_met_by": met_by,
            "search_seconds": round(host.seconds, 1),
            "compile_seconds": round(host.compile_seconds, 1),
        }
        files.write_json(os.path.join(directory, "summary.json"), summary)
