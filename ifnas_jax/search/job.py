"""The search job: train the super-network, prune it, derive an architecture.

`search` reads from top to bottom as what happens. A run that is started again goes on
at its newest checkpoint and ends with the same bytes as one that was not interrupted.
"""

import time
from contextlib import closing
from typing import Any, NamedTuple

import jax
import numpy as np

from ifnas_jax import files, storage, training
from ifnas_jax.architecture import Architecture, from_kept
from ifnas_jax.architecture.masks import Kept, Masks, rerouted, unlearned, whole
from ifnas_jax.data.source import Dataset
from ifnas_jax.errors import PreemptedError
from ifnas_jax.methods.interface import Event, Gates
from ifnas_jax.methods.schedule import search_rate
from ifnas_jax.report.logs import SearchLogs, Writers
from ifnas_jax.report.progress import Progress
from ifnas_jax.run.workdir import JobFiles, Workdir
from ifnas_jax.runtime import distributed
from ifnas_jax.runtime.checkpoint import Checkpoints, check_finite
from ifnas_jax.search.derive import choose, derive, draw, is_pruned
from ifnas_jax.search.resume import Progressed, restore, save
from ifnas_jax.search.step import Search, State, compile_steps, make_batches


class Loop(NamedTuple):
    """What holds from the end of a loop to the end of the next one.

    Attributes:
      masks: of its sampling steps, on the devices.
      retained: the retained architecture in numbers, for the rows of metrics.
      pruned: whether there is nothing left to prune, so that the search ends.
    """

    masks: Masks
    retained: dict[str, int]
    pruned: bool


def search(job: Search, dataset: Dataset, workdir: Workdir) -> None:
    """Searches, and writes `architecture.json` and `summary.json` under `search/`.

    Does nothing if that is done already.

    Args:
      job: what `make_search` made, and `check` did not refuse.
      dataset: its training and validation parts are read, never the test part.
      workdir: of the run.

    Raises:
      InputError: only last pairs are left, and they cost more than the target; or no
        architecture that was drawn meets it.
      DivergedError: the loss is not finite.
      StorageError: the workdir or the data can't be used any more.
      PreemptedError: SIGTERM came, and a checkpoint is saved.
    """
    ours = workdir.search
    if distributed.from_primary(lambda: storage.exists(ours.architecture)):
        return
    distributed.catch_termination()
    if distributed.is_primary():
        storage.make_folder(ours.directory)
    if job.method.trains:
        architecture, summary = _train(job, dataset, ours)
    else:
        kept, met_by = draw(job)
        architecture = from_kept(job.net.space, kept, job.macro)
        summary = _summary(0, 0.0, 0.0, met_by)
    if distributed.is_primary():
        files.write_json(ours.summary, summary)
        # Last, with the logs closed: its presence says that the search is done.
        architecture.save(ours.architecture)


def _train(
    job: Search, dataset: Dataset, ours: JobFiles
) -> tuple[Architecture, dict[str, Any]]:
    """Trains the super-network and derives; the architecture and a summary."""
    with closing(Checkpoints(ours.checkpoints)) as checkpoints:
        state, host, rows = restore(checkpoints, job)
        step = int(state.step)
        with (
            closing(SearchLogs(ours, step, job.config.tensorboard)) as logs,
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
                kept, met_by = choose(job, steps, state, ours.candidates)
            else:
                kept, met_by = derive(job, final, host.kept, logs)
            step = int(final.step)
            architecture = from_kept(job.net.space, kept, job.macro)
            logs.write_architecture(step, architecture)
    return architecture, _summary(step, host.seconds, host.compile_seconds, met_by)


def _loop(
    job: Search,
    steps: training.Steps,
    state: State,
    host: Progressed,
    meter: training.Meter,
    batches: training.ShardedBatches,
    writers: Writers,
) -> tuple[State, Progressed]:
    """Trains until the target is met or the schedule ends."""
    step, schedule = int(state.step), job.schedule
    started = time.perf_counter() - host.seconds
    loop, mu = _begin_loop(job, host.kept, step), None
    while step < schedule.total and not loop.pruned:
        first = step - step % schedule.period
        if step == first or mu is None:
            mu = job.method.mu(schedule, host.strength, first)
            placed_mu = training.place(mu)
        state, metrics = steps.train(state, loop.masks, placed_mu, next(batches))
        meter.add(metrics)
        step += 1
        if step % schedule.period == 0:
            row = _describe(job, first, step, mu) | meter.mean(step)
            if step % schedule.loop == 0:
                host, extra = _end_loop(job, steps, state, host, step, writers.logs)
                loop = _begin_loop(job, host.kept, step)
                row |= extra
            writers.logs.write(row | loop.retained)
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


def _begin_loop(job: Search, kept: Kept, step: int) -> Loop:
    """What the loop that begins at a step, or goes on there, trains and reports."""
    masks = job.method.masks(kept, step // job.schedule.loop)
    architecture = from_kept(job.net.space, kept, job.macro)
    retained = {
        "edges": sum(len(stage.edges) for stage in architecture.stages),
        "madds": architecture.cost().madds,
        "depth": architecture.depth(),
        "rerouted": rerouted(kept),
        "unlearned": unlearned(kept, masks),
    }
    pruned = is_pruned(job, kept, retained["madds"])
    return Loop(training.place(masks), retained, pruned)


def _end_loop(
    job: Search,
    steps: training.Steps,
    state: State,
    host: Progressed,
    step: int,
    logs: SearchLogs,
) -> tuple[Progressed, dict[str, float]]:
    """Prunes, adapts μ, evaluates: once a loop, after its last sampling step."""
    gates = job.method.gates(jax.device_get(state.arch), host.kept)
    if step > job.schedule.prune:
        host = _prune(job, gates, host, step, logs)
    logs.write_gates(step, gates, host.kept)
    loop, every = step // job.schedule.loop, job.config.search.valid_every
    if every and loop % every == 0:
        masks = whole(host.kept, learned=False)
        return host, {"valid_accuracy": steps.evaluate(state, masks)}
    return host, {}


def _prune(
    job: Search, gates: Gates, host: Progressed, step: int, logs: SearchLogs
) -> Progressed:
    kept, removals = host.kept, []
    if job.method.prune:
        kept, removals = job.method.prune(kept, gates)
    logs.write_removals(step, removals)
    before, after = job.madds(host.kept), job.madds(kept)
    event = Event(step, before, after, len(removals))
    strength = job.method.next_strength(job.schedule, host.strength, event)
    return host._replace(kept=kept, strength=strength)


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


def _summary(
    step: int, seconds: float, compile_seconds: float, met_by: str | None
) -> dict[str, Any]:
    return {
        "steps": step,
        "target_met_by": met_by,
        "search_seconds": round(seconds, 1),
        "compile_seconds": round(compile_seconds, 1),
    }
