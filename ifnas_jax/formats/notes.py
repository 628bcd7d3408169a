"""What stands beside an exported network: how to use it, for people and programs."""

import json
from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict

from ifnas_jax.architecture import Architecture
from ifnas_jax.formats import torch_source

_README = """# A network found by ifnas_jax

{summary}. {state}

`python -m ifnas_jax.export` wrote this folder. To make an input of an image,
lay what is transparent on white, {preparation},
with {channels}, and divide the values by 255.{shift}
EXIF's orientation was not applied in training, so don't apply it here. With PIL, whose
`convert("{mode}")` alone drops transparency, an image on white is

```python
image = Image.open(path).convert("RGBA")
white = Image.new("RGB", image.size, "white")
white.paste(image, mask=image)
image = white.convert("{mode}")
```

Of the outputs, number i is of the i-th class in {classes}.

| file | |
|---|---|
{files}
"""

_LOADING = '''"""Classifies images with network.jax_export. Needs jax and flatbuffers.

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
    "load_stablehlo.py": "runs it; needs jax and flatbuffers",
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
        "classes": list(class_names(data)) or None,
        "image_size": data.image_size,
        "channels": data.channels,
        "shorter_side": _shorter_side(data),
        "mean": mean,
        "std": std,
        "madds": total.madds,
        "params": total.params,
        "depth": architecture.depth(),
        "top1": top1,
        "top1_dtype": None if top1 is None else config.dtype,
    }


def metadata(config: ConfigDict, architecture: Architecture) -> dict[str, str]:
    """What of `meta.json` an ONNX model carries: JSON values by their keys."""
    told = meta(config, architecture, None)
    names = ("classes", "image_size", "channels", "shorter_side", "mean", "std")
    return {name: json.dumps(told[name], ensure_ascii=False) for name in names}


def class_names(data: ConfigDict) -> tuple[str, ...]:
    """The name of each label; () of a run of an earlier version."""
    return tuple(data.labels) or tuple(data.classes)


def _shorter_side(data: ConfigDict) -> int | None:
    """What it is resized to before the middle is cut out; None: nothing is cut off.

    As `data.augment.eval_transform` does it.
    """
    return round(data.image_size * 256 / 224) if data.crop == "resized" else None


def _preparation(data: ConfigDict) -> str:
    size, side = data.image_size, _shorter_side(data)
    if side:
        return (
            f"resize the shorter side to {side} pixels (bilinear, antialiased) and cut "
            f"out the middle {size} × {size}"
        )
    return f"resize to {size} × {size} pixels (bilinear, antialiased)"


def _classes(data: ConfigDict) -> str:
    """Where the names of the classes are, in the order of the outputs."""
    if class_names(data):
        return "`classes` of `meta.json`"
    if data.name == "folder":
        return "the sorted names of the folders of images"
    return f"`info.features['label'].names` of TFDS's builder of {data.name}"


def _state(config: ConfigDict, architecture: Architecture, top1: float | None) -> str:
    """Whether it is trained, and how well."""
    if top1 is not None:
        part = config.dataset.test_split or "test"
        return (
            f"Trained; {100 * top1:.2f} % of the {part} part right after the last "
            f"epoch, computed in {config.dtype} (these files: float32)."
        )
    missing = torch_source.without_counterpart(architecture)
    if missing:
        return (
            "It has no weights here, and no PyTorch code, as the operator "
            f"`{missing[0]}` has no counterpart in PyTorch."
        )
    return "It has no weights here."


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
    shift = ""
    if "network.py" in files:
        shift = f"\nFor `network.py`, also subtract {mean} and divide by {std}."
    rows = [f"| `{n}` | {_FILES[n].format(**sizes)} |" for n in _FILES if n in files]
    return _README.format(
        summary=summary(config, architecture),
        state=_state(config, architecture, top1),
        preparation=_preparation(data),
        channels="channels red, green and blue"
        if data.channels == 3
        else "one grey channel",
        mode="RGB" if data.channels == 3 else "L",
        shift=shift,
        classes=_classes(data),
        files="\n".join(rows),
    )


def loading_example(data: ConfigDict) -> str:
    """The text of `load_stablehlo.py`."""
    return _LOADING.format(size=data.image_size, channels=data.channels)
