"""Evaluation counts each example once, on any number of devices and processes."""

import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.extend import backend

from ifnas_jax import training
from ifnas_jax.data.pipeline import eval_batches
from ifnas_jax.runtime import distributed
from ifnas_jax.runtime.cluster import Cluster

EXAMPLES, CLASSES = 41, 7


def examples():
    """Labels, and images that hold the class which will be said."""
    rng = np.random.default_rng(0)
    said, labels = rng.integers(0, CLASSES, (2, EXAMPLES))
    said[:9] = labels[:9]
    return [
        {"image": np.full((1, 1, 1), s, np.uint8), "label": int(y)}
        for s, y in zip(said, labels, strict=True)
    ]


def plain(image, out=None):
    """As float32, into its row of the batch if it is given."""
    return np.positive(image.astype(np.float32), out=out)


def check(devices):
    """In a process of a run that has so many devices."""
    assert jax.device_count() == devices

    def step(batch):
        logits = jax.nn.one_hot(batch["image"][:, 0, 0, 0].astype(int), CLASSES)
        return training.count_hits(logits, batch["label"], batch["mask"])

    batches = eval_batches(
        examples(),
        plain,
        batch_size=12,
        **distributed.processes(),
    )
    first = training.evaluation_batch(distributed.shard(next(iter(batches))))
    compiled, _ = training.compile_step(step, (first,), donate=False)
    counted = []

    def counting(batch):
        counts = compiled(batch)
        counted.append(float(counts["rows"]))
        return counts

    result = training.evaluate(counting, (), batches)
    right = sum(int(e["image"][0, 0, 0]) == e["label"] for e in examples())
    assert sum(counted) == EXAMPLES, counted
    assert result["top1"] * EXAMPLES == pytest.approx(right, abs=1e-6)


def test_on_one_to_four_devices():
    """In one process, which makes its devices anew."""
    assert subprocess.run([sys.executable, __file__]).returncode == 0


def check_each_number():
    for devices in (1, 2, 3, 4):
        jax.config.update("jax_num_cpu_devices", devices)
        check(devices)
        backend.clear_backends()


def start(devices, *cluster):
    count = f"--xla_force_host_platform_device_count={devices}"
    command = [sys.executable, __file__, *map(str, cluster)]
    return subprocess.Popen(command, env={**os.environ, "XLA_FLAGS": count})


@pytest.mark.parametrize("devices", [1, 2])
def test_on_two_processes(devices):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cluster = 2 * devices, f"127.0.0.1:{port}", 2
    processes = [start(devices, *cluster, process) for process in range(2)]
    assert [process.wait() for process in processes] == [0, 0]


if __name__ == "__main__":
    if sys.argv[1:]:
        total, address, processes, process = sys.argv[1:]
        distributed.start(Cluster(address, int(processes), int(process)))
        check(int(total))
    else:
        check_each_number()
