"""How PyTorch takes a step that is timed: eager, compiled, or as a CUDA graph.

What counterparts share, on the CPU or a GPU. Needs torch.
"""

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

# Steps ahead of a capture, as PyTorch asks for: they choose algorithms and allocate.
_WARM = 3


def use(device: str) -> None:
    """Prepares a device; on GPUs products may round as those of JAX do (TF32)."""
    # Each case is a program of its own; past the limit PyTorch is eager, unsaid.
    torch._dynamo.config.recompile_limit = 256
    if device == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True


def wait(device: str) -> None:
    """Until the device is done."""
    if device == "cuda":
        torch.cuda.synchronize()


def autocast(device: str, dtype: str):
    """The context of a forward pass."""
    if dtype == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device, dtype=getattr(torch, dtype))


def to_batch(images: np.ndarray, labels: np.ndarray, layout, device: str) -> tuple:
    """Images [batch, height, width, channels] and labels, as PyTorch has them."""
    images = torch.tensor(images.transpose(0, 3, 1, 2).copy(), device=device)
    images = images.contiguous(memory_format=layout)
    return images, torch.tensor(labels, dtype=torch.int64, device=device)


def step(counterpart: Any, batch: tuple, given: tuple, loss: Callable) -> torch.Tensor:
    """One update of a counterpart, which has `optimizers`, `clipped` and `clip`."""
    for optimizer in counterpart.optimizers:
        optimizer.zero_grad(set_to_none=True)
    value = loss(*batch, *given)
    value.backward()
    torch.nn.utils.clip_grad_norm_(counterpart.clipped, counterpart.clip)
    for optimizer in counterpart.optimizers:
        optimizer.step()
    return value.detach()


def make_step(counterpart: Any, way: str, batch: tuple, given: tuple) -> Callable:
    """A function that takes one step and returns the loss.

    Args:
      counterpart: with `loss`, and what `step` needs.
      way: "eager", "compiled" or "graph".
      batch: what it trains on, the same in each step.
      given: what its loss takes after the batch.
    """
    loss = counterpart.loss
    if way == "compiled":
        loss = torch.compile(loss, dynamic=False)
    once = functools.partial(step, counterpart, batch, given, loss)
    return _captured(once) if way == "graph" else once


def _captured(once: Callable) -> Callable:
    """Launches all kernels of a step at once; its tensors stay where they are."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM):
            once()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = once()

    def replay():
        graph.replay()
        return loss

    # What the graph reads and writes must stay where it is.
    replay.keeps = once
    return replay
