"""Searches that differ in the seed alone, side by side: a step of all is one program.

For accelerators, which one small search keeps idle. Each is a search like any other,
with files of its own, and ends when it is through.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any, NamedTuple

import jax
import numpy as np

from ifnas_jax import files, storage, training
from ifnas_jax.data.source import Dataset
from ifnas_jax.errors import FAILURES, PreemptedError
from ifnas_jax.report.logs import progress_fields
from ifnas_jax.report.progress import Progress
from ifnas_jax.run.workdir import Workdir
from ifnas_jax.runtime import distributed, termination
from ifnas_jax.runtime.checkpoint import Checkpoints
from ifnas_jax.searching import lane as lanes
from ifnas_jax.searching.job import is_done, write_found
from ifnas_jax.searching.lane import Lane, Own
from ifnas_jax.searching.step import (
    Search,
    State,
    compile_validation,
    make_step,
    step_arguments,
)


def search_together(
    jobs: Sequence[Search],
    dataset: Dataset,
    workdirs: Sequence[Workdir],
    after: Callable[[], None] = lambda: None,
) -> dict[int, Exception]:
    """Searches side by side: each step of the program is one of every search.

    One that is through counts no more, and writes what it found at once; the program
    ends with the last. They go on where all have saved. One process only.

    Args:
      jobs: the searches; they differ in the seed.
      dataset: as for `search`.
      workdirs: of their runs.
      after: is called when a row of a log was written, or a search is done.

    Returns:
      Why a search failed, by its number.

    Raises:
      PreemptedError: SIGTERM came, and a checkpoint of each is saved.
    """
    todo = [n for n, workdir in enumerate(workdirs) if not is_done(workdir)]
    if not todo:
        return {}
    termination.catch()
    population = Population(len(jobs), training.lanes_mesh(len(jobs)), after, {}, {})
    with ExitStack() as stack:
        states, saved, steps = {}, {}, {}
        for number in todo:
            ours = workdirs[number].search
            checkpoints = Checkpoints(ours.checkpoints)
            saved[number] = stack.enter_context(closing(checkpoints))
            if storage.exists(ours.metrics) and not storage.exists(ours.failed):
                steps[number] = saved[number].steps()
        meeting = meet(steps)
        for number, checkpoints in saved.items():
            closer = stack.enter_context(ExitStack())
            ours, at_most = workdirs[number].search, meeting.get(number)
            if at_most == 0:
                checkpoints.forget_after(0)
            lane, states[number] = lanes.open_lane(
                closer, jobs[number], dataset, ours, checkpoints, number, at_most
            )
            population.living[number] = Member(lane, closer, next(lane.batches))
        progress = stack.enter_context(Progress("search", jobs[0].schedule.total))
        progress.note(f"search: compiling for {len(jobs)} seeds ...")
        state, steps, seconds = _compile(population, dataset, states)
        states.clear()
        progress.note(f"search: compiled in {seconds:.1f} s")
        for member in population.living.values():
            lanes.start_clock(member.lane, seconds / len(todo))
        _loop(population, steps, state, progress)
    return population.failed


def meet(steps: Mapping[int, Sequence[int]]) -> dict[int, int]:
    """The step to which searches go back, so that all of them go on at one.

    A kill left some of them a checkpoint ahead. Lanes that go on together take the same
    ways through the program as without the stop, and so round alike.

    Args:
      steps: of the checkpoints of each search, of which two are kept, by its number;
        without those that failed once, or are new, who would hold the others up.

    Returns:
      For each that can go back so far, the step.
    """
    common = min((own[-1] if own else 0 for own in steps.values()), default=0)
    return {
        number: common
        for number, own in steps.items()
        # Who has fewer than two began at 0.
        if common in own or (not common and len(own) < 2)
    }


@dataclasses.dataclass
class Member:
    """A search that is not through: its lane, what closes that, and its next batch."""

    lane: Lane
    closer: ExitStack
    batch: Any


class Population(NamedTuple):
    """Searches side by side.

    Attributes:
      count: how many lanes the program has, those that are through included.
      mesh: of the devices.
      after: is called when there is something new to see.
      living: the searches that are not through, by number.
      failed: why a search failed, by number.
    """

    count: int
    mesh: jax.sharding.Mesh
    after: Callable[[], None]
    living: dict[int, Member]
    failed: dict[int, Exception]

    def stacked(self, trees: Mapping[int, Any]) -> Any:
        """Host trees of living lanes as one of all lanes; others have zeros."""
        like = next(iter(trees.values()))
        if len(trees) < self.count:
            zeros = jax.tree.map(lambda x: np.zeros_like(x), like)
            trees = dict.fromkeys(range(self.count), zeros) | dict(trees)
        return training.stack([trees[number] for number in range(self.count)])


def _compile(
    population: Population, dataset: Dataset, states: Mapping[int, State]
) -> tuple[State, training.Steps, float]:
    """The state of all lanes, the steps, and the seconds that compiling took."""
    # One is like another.
    number, member = next(iter(population.living.items()))
    job, state = member.lane.job, states[number]
    stacked = population.stacked(states)
    _, *others = (
        population.stacked({number: part})
        for part in step_arguments(job, state, member.batch)
    )
    live = np.ones(population.count, bool)
    arguments = live, stacked, *others
    train, seconds = training.compile_lanes(make_step(job), arguments, population.mesh)
    batch = distributed.shard(member.batch)
    validate, more = compile_validation(job, dataset, state, batch)

    def evaluate(state: State, masks: Any) -> float:
        # Once, not with each batch.
        return validate(training.place(state), masks)

    return stacked, training.Steps(train, evaluate), seconds + more


def _loop(
    population: Population, steps: training.Steps, state: State, progress: Progress
) -> None:
    """Trains until every search is through."""
    mesh, living = population.mesh, population.living
    state, own = training.place_lanes(state, mesh), _owner(state)
    _end_those_through(population, steps, own, progress)
    placed, stale = None, True
    while living:
        for member in living.values():
            stale |= lanes.before_step(member.lane)
        if stale:
            placed = _place(population)
        batch = population.stacked({n: member.batch for n, member in living.items()})
        batch = training.place_lanes(batch, mesh, split=True)
        state, metrics = steps.train(*placed(state), batch)
        own, preempted, before = _owner(state), termination.came(), len(living)
        for number, member in list(living.items()):
            with _own_failure(population, number):
                lanes.after_step(member.lane, steps, metrics, own(number))
        if living:
            step, fields = _shown(population)
            progress.update(step, **fields)
            population.after()
        _save_those_due(population, own, preempted)
        if preempted and living:
            raise PreemptedError
        _end_those_through(population, steps, own, progress)
        for member in living.values():
            member.batch = next(member.lane.batches)
        # Masks change with a loop, which begins with a sampling step.
        stale = len(living) < before


def _place(population: Population) -> Callable[[State], tuple]:
    """(state) -> what a step takes before its batch; all but the state is placed."""
    living = population.living
    live = np.array([number in living for number in range(population.count)])
    masks = population.stacked({n: x.lane.loop.masks for n, x in living.items()})
    mu = population.stacked({n: x.lane.mu for n, x in living.items()})
    live, masks, mu = training.place_lanes((live, masks, mu), population.mesh)
    return lambda state: (live, state, masks, mu)


def _owner(state: State) -> Callable[[int], Own]:
    """(number of a lane) -> what its state is, on the host; copied there once."""
    host = functools.cache(lambda: jax.device_get(state))

    def owner(number: int) -> Own:
        return lambda: jax.tree.map(lambda x: x[number], host())

    return owner


@contextmanager
def _own_failure(population: Population, number: int) -> Iterator[None]:
    """What ends a search ends none of the others."""
    try:
        yield
    except FAILURES as error:
        population.failed[number] = error
        member = population.living.pop(number)
        member.closer.close()
        files.write_json(member.lane.ours.failed, {"why": str(error)})
        population.after()


def _save_those_due(
    population: Population, own: Callable[[int], Own], preempted: bool
) -> None:
    """Saves each search that is due, and all of them where one ends.

    When that has written what it found, it takes no part in what is computed again
    after a stop: so the others must not have to go back to before.
    """
    living = population.living
    ending = any(member.lane.through for member in living.values())
    for number, member in list(living.items()):
        if ending or preempted or lanes.is_due(member.lane):
            with _own_failure(population, number):
                lanes.save_lane(member.lane, own(number))
    if ending:
        for member in living.values():
            member.lane.checkpoints.wait()


def _end_those_through(
    population: Population,
    steps: training.Steps,
    own: Callable[[int], Own],
    progress: Progress,
) -> None:
    """Writes what searches have found, with their logs closed."""
    for number, member in list(population.living.items()):
        lane = member.lane
        if not lane.through:
            continue
        with _own_failure(population, number):
            found, summary = lanes.find(lane, steps, own(number))
            population.living.pop(number).closer.close()
            write_found(lane.ours, found, summary)
            progress.note(
                f"search: seed {lane.job.config.seed} found "
                f"{found.cost().madds / 1e6:.2f}M MAdds at step {lane.step}, "
                f"{len(population.living)} go on"
            )
            population.after()


def _shown(population: Population) -> tuple[int, dict[str, str]]:
    """The step of all searches, and what the progress line shows of them."""
    own = [member.lane for member in population.living.values()]
    step = max(lane.step for lane in own)
    fields = {"seeds": f"{len(own)} of {population.count} seeds"}
    rows = [lane.logs.newest for lane in own if lane.logs.newest]
    if rows:
        madds = [row["madds"] / 1e6 for row in rows]
        first = progress_fields(rows[0])
        fields |= {
            "phase": first["phase"],
            "group": first["group"],
            "loss": f"loss {np.mean([row['loss'] for row in rows]):.3f}",
            "accuracy": f"acc {100 * np.mean([row['accuracy'] for row in rows]):.1f}%",
            "madds": f"{min(madds):.1f} to {max(madds):.1f}M MAdds",
        }
    return step, fields
