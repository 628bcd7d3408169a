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

# Batches that a step takes, by the order of the method: a bi-level step has one of each
# half of the data, and of second order goes through the network twice as often.
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
    fields, cost_of_image = job.config, _step_costs(job, steps)
    searched = cost_of_image.sum() * fields.search.batch_size
    searched *= _BATCHES[job.method.order]
    if job.method.draw and steps:
        images = fields.random.candidates * len(dataset.valid)
        searched += _FORWARD * images * cost_of_image.mean()
    return float(searched / _training_cost(table, fields, dataset))


def _step_costs(job: Search, steps: int) -> np.ndarray:
    """MAdds of an image in each step, [steps]."""
    space, schedule = job.net.space, job.schedule
    macro, full, found = config_lib.search_macro(job.config), space.full(), []
    # Only what is drawn differs from loop to loop.
    every = -(-steps // schedule.loop) if job.method.draw else min(steps, 1)
    loops = [_loop_costs(job, space, macro, full, loop) for loop in range(every)]
    for step in range(steps):
        own = loops[step // schedule.loop % len(loops)]
        found.append(own[int(schedule.mask(step))])
    return np.array(found, float)


def _loop_costs(job: Search, space, macro, full, loop: int) -> list[int]:
    """Of each of a loop's masks."""
    masks = job.method.masks(full, loop)
    return [
        cost.network_cost(space, macro, [stage.active[n] for stage in masks]).madds
        for n in range(len(masks[0].active))
    ]


def _training_cost(table: Table, config: ConfigDict, dataset: Dataset) -> float:
    """MAdds of the forward passes that trained a network of the table, in the mean."""
    images = len(dataset.train) + len(dataset.valid)
    _, steps = retrain_steps(config, images)
    return steps * config.retrain.batch_size * float(table.madds().mean())
