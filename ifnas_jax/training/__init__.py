"""What searching and retraining share: compiled steps, optimisers, metrics.

Knows arrays, devices and processes; no space, no method, no file of a run.
"""

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
    place,
)

__all__ = [
    "IN_FLIGHT",
    "Meter",
    "ShardedBatches",
    "Steps",
    "accumulated",
    "accuracy",
    "adam",
    "compile_step",
    "compute_dtype",
    "count_hits",
    "cross_entropy",
    "evaluate",
    "evaluation_batch",
    "jit_once",
    "masked_momentum",
    "momentum_trace",
    "place",
    "sgd",
]
