"""One search between the steps of its super-network: what the host decides and writes.

A search that is alone is one lane of the program; a population has many. What a lane
decides depends on nothing in another one.
"""

import dataclasses
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any, NamedTuple

import jax
import numpy as np

from ifnas_jax import training
from ifnas_jax.architecture import Architecture, from_kept
from ifnas_jax.architecture.masks import Kept, Masks, rerouted, unlearned, whole
from ifnas_jax.data.source import Dataset
from ifnas_jax.methods.interface import Event, Gates
from ifnas_jax.methods.schedule import search_rate
from ifnas_jax.report.logs import SearchLogs
from ifnas_jax.run.workdir import JobFiles
from ifnas_jax.runtime.checkpoint import Checkpoints, check_finite
from ifnas_jax.searching.derive import choose, derive, is_pruned
from ifnas_jax.searching.resume import Progressed, restore, save
from ifnas_jax.searching.step import Search, State, make_batches

# What a lane's state is; asked for where it is read only, since it is on the devices.
Own = Callable[[], State]


class Loop(NamedTuple):
    """What holds from the end of a loop to the end of the next one.

    Attributes:
      masks: of its sampling steps.
      retained: the retained architecture in numbers, for the rows of metrics.
      pruned: whether there is nothing left to prune, so that the search ends.
    """

    masks: Masks
    retained: dict[str, int]
    pruned: bool


@dataclasses.dataclass
class Lane:
    """A search as far as it is.

    Attributes:
      job: the search.
      ours: its files.
      checkpoints: under them.
      logs: the same.
      batches: its training batches from `step` on, of this process.
      meter: the metrics of the steps since the last row of the log.
      host: what changes between loops.
      step: updates applied.
      loop: what holds in the loop at hand.
      mu: (μ1, μ2) of the sampling step at hand; None before the first one.
      started: when it would have been started without a stop, of `time.perf_counter`.
    """

    job: Search
    ours: JobFiles
    checkpoints: Checkpoints
    logs: SearchLogs
    batches: Any
    meter: training.Meter
    host: Progressed
    step: int
    loop: Loop
    mu: np.ndarray | None = None
    started: float = 0.0

    @property
    def through(self) -> bool:
        """Whether its target is met or its schedule over."""
        return self.loop.pruned or self.step >= self.job.schedule.total


def open_lane(
    stack: ExitStack,
    job: Search,
    dataset: Dataset,
    ours: JobFiles,
    checkpoints: Checkpoints,
    at: int | None = None,
    at_most: int | None = None,
) -> tuple[Lane, State]:
    """A search at its newest checkpoint, or at its beginning, and its state.

    Args:
      stack: closes what is opened.
      job: the search.
      dataset: its training part is read.
      ours: its files.
      checkpoints: under them.
      at: of a population's lane, its number among them, where the meter finds it.
      at_most: the step at which it goes on, or one before.
    """
    state, host, rows = restore(checkpoints, job, at_most)
    step = int(state.step)
    # A page is drawn of all lanes at once, or of the only one.
    logs = SearchLogs(ours, step, job.config.tensorboard, page=at is None)
    stack.enter_context(closing(logs))
    batches = make_batches(job.config, dataset, job.method.order, step)
    stack.enter_context(closing(batches))
    logs.expect(step - len(rows))
    meter = training.Meter(rows, at)
    loop = _begin_loop(job, host.kept, step)
    return Lane(job, ours, checkpoints, logs, batches, meter, host, step, loop), state


def start_clock(lane: Lane, compile_seconds: float) -> None:
    """From now on the lane's seconds count."""
    seconds = lane.host.compile_seconds + compile_seconds
    lane.host = lane.host._replace(compile_seconds=seconds)
    lane.started = time.perf_counter() - lane.host.seconds


def before_step(lane: Lane) -> bool:
    """Makes `mu` that of the next step; whether it is another one, or the loop is."""
    schedule = lane.job.schedule
    first = lane.step - lane.step % schedule.period
    if lane.step != first and lane.mu is not None:
        return False
    lane.mu = lane.job.method.mu(schedule, lane.host.strength, first)
    return True


def after_step(lane: Lane, steps: training.Steps, metrics: Any, own: Own) -> None:
    """Counts a step; writes a row after a sampling step, and ends a loop after it."""
    job, schedule = lane.job, lane.job.schedule
    lane.meter.add(metrics)
    lane.step += 1
    if lane.step % schedule.period == 0:
        first = lane.step - schedule.period
        row = _describe(lane, first) | lane.meter.mean(lane.step)
        if lane.step % schedule.loop == 0:
            row |= _end_loop(lane, steps, own())
            lane.loop = _begin_loop(job, lane.host.kept, lane.step)
        lane.logs.write(row | lane.loop.retained)
    seconds = time.perf_counter() - lane.started
    lane.host = lane.host._replace(seconds=seconds)


def is_due(lane: Lane) -> bool:
    """Whether a checkpoint follows."""
    every = lane.job.config.search.checkpoint_every
    return lane.step % (lane.job.schedule.loop * every) == 0


def save_lane(lane: Lane, own: Own) -> None:
    """Saves a checkpoint, when the logs before it are on the disk."""
    lane.logs.sync()
    save(lane.job, lane.checkpoints, own(), lane.host, lane.meter.rows())


def find(
    lane: Lane, steps: training.Steps, own: Own
) -> tuple[Architecture, dict[str, Any]]:
    """What a search that is through has found, and a summary of it."""
    job, state = lane.job, own()
    final = jax.device_get(state)
    check_finite(final, lane.step)
    # Networks can be ranked by these weights, now and when the search is done.
    if lane.checkpoints.newest != lane.step:
        lane.logs.sync()
        save(job, lane.checkpoints, final, lane.host, [])
    if job.method.draw:
        kept, met_by = choose(job, steps, state, lane.ours.candidates)
    else:
        kept, met_by = derive(job, final, lane.host.kept, lane.logs)
    architecture = from_kept(job.net.space, kept, job.macro)
    lane.logs.write_architecture(lane.step, architecture)
    seconds = lane.host.seconds, lane.host.compile_seconds
    return architecture, summary(lane.step, *seconds, met_by)


def summary(
    step: int, seconds: float, compile_seconds: float, met_by: str | None
) -> dict[str, Any]:
    """What a search came to, beside the architecture."""
    return {
        "steps": step,
        "target_met_by": met_by,
        "search_seconds": round(seconds, 1),
        "compile_seconds": round(compile_seconds, 1),
    }


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
    return Loop(masks, retained, is_pruned(job, kept, retained["madds"]))


def _end_loop(lane: Lane, steps: training.Steps, state: State) -> dict[str, float]:
    """Prunes, adapts μ, evaluates: once a loop, after its last sampling step."""
    job = lane.job
    gates = job.method.gates(jax.device_get(state.arch), lane.host.kept)
    if lane.step > job.schedule.prune:
        lane.host = _prune(lane, gates)
    lane.logs.write_gates(lane.step, gates, lane.host.kept)
    loop, every = lane.step // job.schedule.loop, job.config.search.valid_every
    if every and loop % every == 0:
        masks = whole(lane.host.kept, learned=False)
        return {"valid_accuracy": steps.evaluate(state, masks)}
    return {}


def _prune(lane: Lane, gates: Gates) -> Progressed:
    job, host = lane.job, lane.host
    kept, removals = host.kept, []
    if job.method.prune:
        kept, removals = job.method.prune(kept, gates)
    lane.logs.write_removals(lane.step, removals)
    before, after = job.madds(host.kept), job.madds(kept)
    event = Event(lane.step, before, after, len(removals))
    strength = job.method.next_strength(job.schedule, host.strength, event)
    return host._replace(kept=kept, strength=strength)


def _describe(lane: Lane, first: int) -> dict[str, Any]:
    """What a sampling step was, from its first update to its last."""
    schedule = lane.job.schedule
    return {
        "step": lane.step,
        "epoch": round(lane.step / schedule.epoch, 4),
        "phase": schedule.phase(first),
        "group": int(schedule.mask(first)),
        "mu1": float(lane.mu[0]),
        "mu2": float(lane.mu[1]),
        "learning_rate": float(search_rate(lane.job.config, schedule)(first)),
    }
