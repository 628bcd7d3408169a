"""The search job: train the super-network, prune it, derive an architecture.

`search` reads from top to bottom as what happens; `lane.py` has what the host does
between steps. A run that is started again goes on at its newest checkpoint and ends
with the same bytes as one that was not interrupted.
"""

from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any

from ifnas_jax import files, storage, training
from ifnas_jax.architecture import Architecture, from_kept
from ifnas_jax.data.source import Dataset
from ifnas_jax.errors import PreemptedError
from ifnas_jax.report.progress import Progress
from ifnas_jax.run.workdir import JobFiles, Workdir
from ifnas_jax.runtime import distributed, termination
from ifnas_jax.runtime.checkpoint import Checkpoints
from ifnas_jax.searching import lane as lanes
from ifnas_jax.searching.derive import draw
from ifnas_jax.searching.lane import Lane
from ifnas_jax.searching.step import Search, State, compile_steps


def search(
    job: Search,
    dataset: Dataset,
    workdir: Workdir,
    compile_with: Callable | None = None,
    name: str = "search",
) -> None:
    """Searches, and writes `architecture.json` and `summary.json` under `search/`.

    Does nothing if that is done already.

    Args:
      job: what `make_search` made, and `check` did not refuse.
      dataset: its training and validation parts are read, never the test part.
      workdir: of the run.
      compile_with: what compiles the steps, in place of `compile_steps`.
      name: of the search, on the progress line.

    Raises:
      InputError: only last pairs are left, and they cost more than the target; or no
        architecture that was drawn meets it.
      DivergedError: the loss is not finite.
      StorageError: the workdir or the data can't be used any more.
      PreemptedError: SIGTERM came, and a checkpoint is saved.
    """
    if is_done(workdir):
        return
    termination.catch()
    if distributed.is_primary():
        storage.make_folder(workdir.search.directory)
    if job.method.trains:
        compile_with = compile_with or compile_steps
        found = _train(job, dataset, workdir.search, compile_with, name)
    else:
        kept, met_by = draw(job)
        architecture = from_kept(job.net.space, kept, job.macro)
        found = architecture, lanes.summary(0, 0.0, 0.0, met_by)
    write_found(workdir.search, *found)


def is_done(workdir: Workdir) -> bool:
    """Whether the search of a run is done."""
    path = workdir.search.architecture
    return distributed.from_primary(lambda: storage.exists(path))


def write_found(
    ours: JobFiles, architecture: Architecture, summary: dict[str, Any]
) -> None:
    """Writes what a search has found, with its logs closed."""
    if distributed.is_primary():
        files.write_json(ours.summary, summary)
        # Last: its presence says that the search is done.
        architecture.save(ours.architecture)


def _train(
    job: Search, dataset: Dataset, ours: JobFiles, compile_with: Callable, name: str
) -> tuple[Architecture, dict[str, Any]]:
    """Trains the super-network and derives; the architecture and a summary."""
    with ExitStack() as stack:
        checkpoints = stack.enter_context(closing(Checkpoints(ours.checkpoints)))
        lane, state = lanes.open_lane(stack, job, dataset, ours, checkpoints)
        batches = training.ShardedBatches(lane.batches)
        progress = stack.enter_context(Progress(name, job.schedule.total))
        progress.note(f"{name}: compiling ...")
        steps, seconds = compile_with(job, dataset, state, batches.peek())
        progress.note(f"{name}: compiled in {seconds:.1f} s")
        lanes.start_clock(lane, seconds)
        state = _loop(lane, steps, state, batches, progress)
        return lanes.find(lane, steps, lambda: state)


def _loop(
    lane: Lane,
    steps: training.Steps,
    state: State,
    batches: training.ShardedBatches,
    progress: Progress,
) -> State:
    """Trains until the target is met or the schedule ends."""
    loop = masks = mu = None

    def own() -> State:
        return state

    while not lane.through:
        if lanes.before_step(lane):
            mu = training.place(lane.mu)
        if loop is not lane.loop:
            loop, masks = lane.loop, training.place(lane.loop.masks)
        state, metrics = steps.train(state, masks, mu, next(batches))
        lanes.after_step(lane, steps, metrics, own)
        progress.update(lane.step, **lane.logs.progress)
        preempted = termination.came()
        if lanes.is_due(lane) or preempted:
            lanes.save_lane(lane, own)
        if preempted:
            raise PreemptedError
    return state
