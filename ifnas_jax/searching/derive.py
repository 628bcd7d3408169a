"""What of a space is kept in the end: by pruning, by gates, or drawn."""

from contextlib import closing

from ifnas_jax import training
from ifnas_jax.architecture.masks import Kept, whole
from ifnas_jax.errors import PreemptedError
from ifnas_jax.methods import derivations
from ifnas_jax.report.logs import CandidateLog, SearchLogs
from ifnas_jax.report.progress import Progress
from ifnas_jax.runtime import termination
from ifnas_jax.searching.step import Search, State


def is_pruned(job: Search, kept: Kept, madds: int) -> bool:
    """Whether gradual pruning is through: at its target, or with nothing to remove."""
    if not job.method.prune:
        return False
    inputs = derivations.INPUTS.get(job.config.derive)
    if inputs is None:
        return madds <= job.config.target_madds
    return all((stage.any(axis=2).sum(axis=1) <= inputs).all() for stage in kept)


def derive(
    job: Search, state: State, kept: Kept, logs: SearchLogs
) -> tuple[Kept, str | None]:
    """What is kept in the end, and how its target was met.

    By "pruning" while searching, or by the "fallback" of removing the weakest after
    it; None where a number of inputs is kept, which has no target.
    """
    space, target = job.net.space, job.config.target_madds
    strength = job.method.gates(state.arch, kept).strength
    inputs = derivations.INPUTS.get(job.config.derive)
    if inputs is not None:
        return derivations.keep_strongest(space, kept, strength, inputs), None
    if job.madds(kept) <= target:
        return kept, "pruning"
    kept, removals = derivations.to_target(space, job.macro, kept, strength, target)
    logs.write_removals(int(state.step), removals, final=True)
    return kept, "fallback"


def draw(job: Search, *numbers: int) -> tuple[Kept, str | None]:
    """A drawn architecture, the first by default, and how its target was met."""
    met_by = "drawing" if job.config.derive == "target" else None
    return job.method.draw(*(numbers or (0,))), met_by


def choose(
    job: Search, steps: training.Steps, state: State, path: str
) -> tuple[Kept, str | None]:
    """The best of many drawn architectures, by the super-network's weights.

    Those that an interrupted run has evaluated are not evaluated again.

    Args:
      job: the search.
      steps: compiled.
      state: at the search's end.
      path: of `candidates.jsonl`.

    Raises:
      PreemptedError: SIGTERM came; what is evaluated is logged.
    """
    count = job.config.random.candidates
    with (
        closing(CandidateLog(path)) as log,
        Progress("candidates", count) as progress,
    ):
        for index in range(len(log.accuracies), count):
            masks = whole(job.method.draw(index), learned=False)
            log.write(index, steps.evaluate(state, masks))
            progress.update(index + 1, best=f"best {100 * max(log.accuracies):.1f}%")
            if termination.came():
                raise PreemptedError
    return draw(job, log.accuracies.index(max(log.accuracies)))
