"""A configuration for the embedded digits."""

import ml_collections
import numpy as np
import pytest


def digits_config(data_dir, **changes):
    fields = {
        "name": "mnist5k",
        "data_dir": str(data_dir),
        "valid_fraction": 0.25,
        "image_size": 28,
        "channels": 1,
        "classes": (),
        "subset_seed": 0,
        "on_unreadable": "stop",
        "crop": "pad",
        "padding": 2,
        "flip": False,
        "jitter": (0.0, 0.0, 0.0, 0.0),
        "mean": (),
        "std": (),
    }
    return ml_collections.ConfigDict({**fields, **changes})


@pytest.fixture
def make_config():
    """A function of a TFDS folder and of fields to change."""
    return digits_config


@pytest.fixture
def config(mnist5k_dir) -> ml_collections.ConfigDict:
    return digits_config(mnist5k_dir)


@pytest.fixture
def colour() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
