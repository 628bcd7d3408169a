"""What stands beside an exported network: how to use it, for people and programs."""

from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict

from ifnas_jax.architecture import Architecture

_README = """# {title}

{summary}. {accuracy}

`python -m ifnas_jax.export` wrote this folder. To make an input of an image,
{preparation},
with {channels}, and divide the values by 255.{shift}
(`meta.json` says so too.)

| file | |
|---|---|
{files}
"""

_LOADING = '''"""Classifies images with network.jax_export. Needs only JAX.

    python load_stablehlo.py IMAGES.npy

IMAGES.npy: float32 [batch, {size}, {size}, {channels}], values from 0 to 1. Prints a
class for each image.
"""

import pathlib
import sys

import jax
import jax.export
import numpy as np

path = pathlib.Path(__file__).with_name("network.jax_export")
network = jax.jit(jax.export.deserialize(path.read_bytes()).call)
logits = network(np.load(sys.argv[1]))
print(*logits.argmax(axis=-1).tolist())
'''

_FILES = {
    "architecture.json": "the architecture, with its cost; `ifnas_jax` reads it",
    "network.py": "the network in PyTorch, standalone: `make_network()`",
    "weights.safetensors": "its `state_dict`",
    "network.jax_export": "the trained network as StableHLO, by `jax.export`, for CPU, "
    "CUDA and TPU: images [batch, {size}, {size}, {channels}] of values from 0 to 1 to "
    "logits",
    "load_stablehlo.py": "runs it, with JAX alone",
    "network.onnx": "the trained network as ONNX: `images` [batch, {channels}, {size}, "
    "{size}] of values from 0 to 1 to `logits`",
    "meta.json": "sizes, normalisation and accuracy, for programs",
}


def normalisation(data: ConfigDict) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, of values in [0, 1]."""
    return tuple(
        [float(x) for x in data[field]] or [0.5] * data.channels
        for field in ("mean", "std")
    )


def summary(config: ConfigDict, architecture: Architecture) -> str:
    """The network in one line."""
    total = architecture.cost()
    return (
        f"Found on {config.dataset.name} in space {architecture.space.name}: "
        f"{total.madds / 1e6:.1f}M MAdds, {total.params / 1e6:.2f}M parameters, depth "
        f"{architecture.depth()}"
    )


def meta(
    config: ConfigDict, architecture: Architecture, top1: float | None
) -> dict[str, Any]:
    """The object of `meta.json`; `top1` is None of a network without weights."""
    data, total = config.dataset, architecture.cost()
    mean, std = normalisation(data)
    return {
        "dataset": data.name,
        "num_classes": architecture.macro.num_classes,
        "classes": list(data.classes) or None,
        "image_size": data.image_size,
        "channels": data.channels,
        "resize": _preparation(data),
        "mean": mean,
        "std": std,
        "madds": total.madds,
        "params": total.params,
        "depth": architecture.depth(),
        "top1": top1,
    }


def _preparation(data: ConfigDict) -> str:
    """As `data.augment.eval_transform` does it."""
    size = data.image_size
    if data.crop == "resized":
        return (
            f"resize the shorter side to {round(size * 256 / 224)} pixels (bilinear, "
            f"antialiased) and cut out the middle {size} × {size}"
        )
    return f"resize to {size} × {size} pixels (bilinear, antialiased)"


def readme(
    config: ConfigDict,
    architecture: Architecture,
    top1: float | None,
    files: Sequence[str],
) -> str:
    """The text of `README.md`, about the files that are there."""
    data = config.dataset
    mean, std = normalisation(data)
    sizes = {"size": data.image_size, "channels": data.channels}
    accuracy = "It has no weights here."
    if top1 is not None:
        accuracy = (
            f"Trained; {100 * top1:.2f} % of the test part right after the last epoch."
        )
    shift = ""
    if "network.py" in files:
        shift = f"\nFor `network.py`, also subtract {mean} and divide by {std}."
    rows = [f"| `{n}` | {_FILES[n].format(**sizes)} |" for n in _FILES if n in files]
    return _README.format(
        title="A network found by ifnas_jax",
        summary=summary(config, architecture),
        accuracy=accuracy,
        preparation=_preparation(data),
        channels="channels red, green and blue"
        if data.channels == 3
        else "one grey channel",
        shift=shift,
        files="\n".join(rows),
    )


def loading_example(data: ConfigDict) -> str:
    """The text of `load_stablehlo.py`."""
    return _LOADING.format(size=data.image_size, channels=data.channels)
