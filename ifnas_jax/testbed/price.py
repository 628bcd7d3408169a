"""What a search costs, in trainings of a table's networks.

Counted in multiply-adds of forward passes; a backward pass costs as much more on both
sides. Nothing is pruned in this count, so a search that prunes costs less.
"""

import numpy as np
from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax.architecture import cost
from ifnas_jax.data.source import Dataset
from ifnas_jax.methods.schedule import retrain_steps
from ifnas_jax.searching.step import Search
from ifnas_jax.tabular import Table

# Batches that a step takes when the gates move, by the order of the method: a bi-level
# step has one of each half of the data, and of second order goes through the network
# twice as often.
_BATCHES = (1, 2, 4)
# Of a training step's passes, forward, and backward twice as dear.
_FORWARD = 1 / 3


def trainings(table: Table, job: Search, dataset: Dataset, steps: int) -> float:
    """How many of the table's networks can be trained for what a search cost.

    Args:
      table: of the networks, at whose mean cost a training is counted.
      job: the search.
      dataset: that it searched on.
      steps: that it took.
    """
    if not steps:
        return 0.0
    costs, fields = _step_costs(job, steps), job.config
    learning = np.arange(steps) >= job.schedule.beta
    batches = np.where(learning, _BATCHES[job.method.order], 1)
    size = fields.search.batch_size
    searched = size * (batches * costs).sum()
    if job.method.draw:
        # In full batches.
        images = fields.random.candidates * (len(dataset.valid) // size) * size
        searched += _FORWARD * images * costs.mean()
    return float(searched / _training_cost(table, fields, dataset))


def _step_costs(job: Search, steps: int) -> np.ndarray:
    """MAdds of an image in each step, [steps]."""
    schedule = job.schedule
    loops = [_loop_costs(job, loop) for loop in range(-(-steps // schedule.loop))]
    found = [
        loops[step // schedule.loop][int(schedule.mask(step))] for step in range(steps)
    ]
    return np.array(found, float)


def _loop_costs(job: Search, loop: int) -> list[int]:
    """Of each of a loop's masks."""
    space, macro = job.net.space, config_lib.search_macro(job.config)
    masks = job.method.masks(space.full(), loop)
    return [
        cost.network_cost(space, macro, [stage.active[n] for stage in masks]).madds
        for n in range(len(masks[0].active))
    ]


def _training_cost(table: Table, config: ConfigDict, dataset: Dataset) -> float:
    """MAdds of the forward passes that trained a network of the table, in the mean."""
    images = len(dataset.train) + len(dataset.valid)
    _, steps = retrain_steps(config, images)
    return steps * config.retrain.batch_size * float(table.madds().mean())
