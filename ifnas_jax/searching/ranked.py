"""How accurate networks are as parts of a super-network whose search is done."""

from collections.abc import Sequence
from contextlib import closing

import jax
import numpy as np

from ifnas_jax import training
from ifnas_jax.architecture.masks import Kept, whole
from ifnas_jax.data.source import Dataset
from ifnas_jax.errors import InputError, PreemptedError
from ifnas_jax.report.progress import Progress
from ifnas_jax.run.workdir import Workdir
from ifnas_jax.runtime import termination
from ifnas_jax.runtime.checkpoint import Checkpoints
from ifnas_jax.searching import resume, step
from ifnas_jax.searching.derive import is_pruned
from ifnas_jax.searching.step import Search


def accuracies(
    job: Search,
    dataset: Dataset,
    workdir: Workdir,
    networks: Sequence[Kept],
    name: str,
) -> list[float]:
    """Accuracies with the weights of a search's last step, and gates of one size.

    Args:
      job: of the search.
      dataset: its validation part is read, in full batches.
      workdir: of its run.
      networks: what each keeps, of the job's space.
      name: for progress.

    Returns:
      A fraction for each network.

    Raises:
      InputError: there is no checkpoint of the search's end; or the validation part
        fills no batch.
      PreemptedError: SIGTERM came.
    """
    config = job.config.copy_and_resolve_references()
    config.search.valid_every = 1  # So that there is what evaluates.
    job = job._replace(config=config)
    with closing(Checkpoints(workdir.search.checkpoints)) as checkpoints:
        state, host, _ = resume.restore(checkpoints, job)
    at, end = int(state.step), job.schedule.total
    if at < end and not is_pruned(job, host.kept, job.madds(host.kept)):
        raise InputError(
            f"{workdir} has no checkpoint of the end of its search, only of step {at} "
            f"of {end}; remove the folder, and search again."
        )
    # So that weights alone are compared.
    state = state._replace(arch=jax.tree.map(np.zeros_like, state.arch))
    with closing(step.make_batches(config, dataset, job.method.order, 0)) as batches:
        batch = training.ShardedBatches(batches).peek()
        evaluate, _ = step.compile_validation(job, dataset, state, batch)
    found = []
    with Progress(name, len(networks)) as progress:
        for number, kept in enumerate(networks, start=1):
            found.append(float(evaluate(state, whole(tuple(kept), learned=False))))
            progress.update(number)
            if termination.came():
                raise PreemptedError
    return found
