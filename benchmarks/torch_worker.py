"""PyTorch's side of a comparison, in a process of its own.

Two frameworks in one process disturb each other: the threads of one spin while the
other computes, and they share an allocator. So PyTorch has its own process, which
waits while JAX is timed, and JAX' waits while it is.
"""

import importlib
import multiprocessing
import os
import time
from typing import Any, NamedTuple

import numpy as np

# What PyTorch has beside it JAX must not take; read when JAX starts its device.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


class Task(NamedTuple):
    """What PyTorch is to run; all of it can be sent to a process.

    Attributes:
      network: module and class of the counterpart, "benchmarks.module:Class".
      arguments: what makes one, but for its last arguments: device, dtype, layout.
      images: [batch, height, width, channels].
      labels: [batch].
      cases: {name: what logits and steps are given after the images or batch}.
      threads: as many as JAX has.
      device: "cpu" or "cuda".
      dtype: of the computation.
    """

    network: str
    arguments: tuple
    images: np.ndarray
    labels: np.ndarray
    cases: dict[str, tuple]
    threads: int
    device: str = "cpu"
    dtype: str = "float32"


class Worker:
    """A process that runs PyTorch's steps when it is asked; close it when done."""

    def __init__(self, task: Task):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, task), daemon=True)
        self._process.start()
        theirs.close()  # So that the end of the process is noticed.

    def _ask(self, *question) -> Any:
        self._pipe.send(question)
        return self._pipe.recv()

    def logits(self, mode: str, case: str) -> np.ndarray:
        """Logits at step 0, [batch, classes]; ask before the first step."""
        return self._ask("logits", mode, case)

    def loss(self, mode: str, case: str) -> float:
        """Of one step, which updates the network."""
        return self._ask("loss", mode, case)

    def seconds(self, mode: str, case: str) -> float:
        """Of one step."""
        return self._ask("seconds", mode, case)

    def close(self) -> None:
        """Ends the process."""
        self._pipe.close()
        self._process.join()


def _serve(pipe, task: Task) -> None:
    # Before PyTorch starts its threads.
    from ifnas_jax.runtime.host_memory import keep_freed_memory

    keep_freed_memory()
    import torch

    from benchmarks import torch_steps

    module, name = task.network.split(":")
    make = getattr(importlib.import_module(module), name)
    torch.set_num_threads(task.threads)
    torch_steps.use(task.device)
    networks, steps = {}, {}
    while True:
        try:
            what, mode, case = pipe.recv()
        except EOFError:
            return
        way, layout = mode.split()
        if mode not in networks:
            networks[mode] = make(
                *task.arguments, task.device, task.dtype, layout == "channels_last"
            )
        network, given = networks[mode], task.cases[case]
        if hasattr(network, "place"):
            given = tuple(map(network.place, given))
        batch = torch_steps.to_batch(
            task.images, task.labels, network.layout, task.device
        )
        if what == "logits":
            with torch.no_grad(), torch_steps.autocast(task.device, task.dtype):
                logits = network.logits(batch[0], *given)
            pipe.send(logits.float().cpu().numpy())
            continue
        if (mode, case) not in steps:
            steps[mode, case] = torch_steps.make_step(network, way, batch, given)
        torch_steps.wait(task.device)
        start = time.perf_counter()
        loss = steps[mode, case]()
        torch_steps.wait(task.device)
        seconds = time.perf_counter() - start
        pipe.send(loss.item() if what == "loss" else seconds)
