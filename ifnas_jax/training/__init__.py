"""What searching and retraining share: compiled steps, optimisers, metrics.

Knows arrays, devices and processes; no space, no method, no file of a run.
"""

from ifnas_jax.training.images import preparer
from ifnas_jax.training.lanes import compile_lanes, lanes_mesh, place_lanes, stack
from ifnas_jax.training.measure import (
    Meter,
    accuracy,
    count_hits,
    cross_entropy,
    evaluate,
)
from ifnas_jax.training.optimizers import adam, masked_momentum, momentum_trace, sgd
from ifnas_jax.training.program import (
    IN_FLIGHT,
    ShardedBatches,
    Steps,
    accumulated,
    compile_step,
    compute_dtype,
    evaluation_batch,
    jit_once,
    lanes_of,
    place,
    skipping_of,
)

__all__ = [
    "IN_FLIGHT",
    "Meter",
    "ShardedBatches",
    "Steps",
    "accumulated",
    "accuracy",
    "adam",
    "compile_lanes",
    "compile_step",
    "compute_dtype",
    "count_hits",
    "cross_entropy",
    "evaluate",
    "evaluation_batch",
    "jit_once",
    "lanes_mesh",
    "lanes_of",
    "masked_momentum",
    "momentum_trace",
    "place",
    "place_lanes",
    "preparer",
    "sgd",
    "skipping_of",
    "stack",
]
