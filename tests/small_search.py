"""Searches of seconds: a few matrices for a super-network, a few images of noise."""

import numpy as np
import pytest
from matrices import CLASSES, Net

from ifnas_jax import config as config_lib
from ifnas_jax.data.source import Dataset
from ifnas_jax.run.workdir import Workdir
from ifnas_jax.searching.job import search
from ifnas_jax.searching.make import make_search

LOGS = ("metrics", "gates", "prunings", "candidates")


class SmallNet(Net):
    pixels = 16


def make_config(method, **changes):
    config = config_lib.default("mnist5k")
    config.space.update(num_precursors=2, nodes=(2, 3, 2))
    config.dataset.update(image_size=4, num_classes=CLASSES, padding=0)
    config.target_madds = 70_000
    config.search.update(weights_epochs=1.0, max_epochs=12.0, checkpoint_every=2)
    config.search.update(batch_size=8, valid_every=2, arch_learning_rate=0.5)
    config.goldnas.delta = 0.1
    config.random.candidates = 6
    config.random.band = 0.5
    config.method = method
    config.update_from_flattened_dict(changes)
    config_lib.resolve(config, None)
    return config


def make_dataset(size=4, counts=(64, 16, 16)):
    """Noise of size × size pixels, of which the label's in the first row is bright."""
    rng = np.random.default_rng(0)

    def part(count):
        labels = rng.integers(0, CLASSES, count)
        images = rng.integers(0, 100, (count, size, size, 1))
        images[np.arange(count), labels] += 100
        return [
            {"image": image.astype(np.uint8), "label": int(label)}
            for image, label in zip(images, labels, strict=True)
        ]

    return Dataset(CLASSES, *map(part, counts))


def run(config, dataset, directory, net):
    """A search, from its config to its files."""
    search(make_search(config, dataset, net), dataset, Workdir(directory))


def left_in(directory):
    """The bytes of everything that doesn't tell the time."""
    paths = [directory / "search" / f"{name}.jsonl" for name in LOGS]
    paths.append(directory / "search" / "architecture.json")
    return {path.name: path.read_bytes() for path in paths if path.exists()}


def interrupt(monkeypatch, owner, name, count, run):
    """A run with Ctrl-C when a method is called for the first time after so many."""
    calls, method = iter(range(count)), getattr(owner, name)

    def end(*arguments):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        method(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(owner, name, end)
        run()
