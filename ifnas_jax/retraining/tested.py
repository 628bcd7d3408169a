"""The accuracy of a trained network on any part of a data set."""

from collections.abc import Sequence

import jax
from ml_collections import ConfigDict

from ifnas_jax import training
from ifnas_jax.data.augment import eval_transform
from ifnas_jax.data.pipeline import eval_batches
from ifnas_jax.retraining.trained import Trained
from ifnas_jax.runtime import distributed

_BATCH = 64


def accuracy(config: ConfigDict, trained: Trained, part: Sequence) -> dict[str, float]:
    """Top-1 and top-5 in float32, each image counted once.

    Args:
      config: of its run; the data set's transforms are read.
      trained: the network.
      part: images and labels, as `open_dataset` opens them.
    """
    prepare = training.preparer(config.dataset)
    # Of any size, since running statistics normalise: that of the run may be a pod's.
    devices = jax.device_count()
    batch_size = -(-_BATCH // devices) * devices
    batches = eval_batches(
        part,
        eval_transform(config.dataset),
        batch_size=batch_size,
        **distributed.processes(),
    )

    def test_step(variables, batch):
        logits, _ = trained.network.apply(variables, prepare(batch), train=False)
        return training.count_hits(logits, batch["label"], batch["mask"])

    example = distributed.shard(next(iter(batches)))
    arguments = (trained.variables, example)
    compiled, _ = training.compile_step(test_step, arguments, donate=False)
    placed = (training.place(trained.variables),)
    return training.evaluate(compiled, placed, batches)
