"""Small data sets, and their configurations."""

import ml_collections
import numpy as np
import official_tars
import pytest
import small_folders


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


@pytest.fixture(scope="session")
def imagenet(once):
    """A small imagenet2012 that TFDS prepared from its two tars; nobody may write.

    Returns its TFDS folder, and the bytes of each image in the tars by file name.
    """
    from ifnas_jax.data.builder import prepared_builder

    def fill(path):
        images = official_tars.write_tars(path / "tfds" / "downloads" / "manual")
        prepared_builder("imagenet2012", str(path / "tfds"))
        (path / "images").mkdir()
        for name, data in images.items():
            (path / "images" / name).write_bytes(data)

    path = once("imagenet", fill)
    images = {file.name: file.read_bytes() for file in (path / "images").iterdir()}
    return path / "tfds", images


@pytest.fixture
def imagenet_config(imagenet) -> ml_collections.ConfigDict:
    changes = {"channels": 3, "crop": "resized", "flip": True, "image_size": 32}
    return digits_config(imagenet[0], name="imagenet2012", **changes)


@pytest.fixture(scope="session")
def folder(once):
    """A folder that is prepared; nobody may write to it."""
    from ifnas_jax.data.builder import prepared_builder

    def fill(path):
        small_folders.draw(path)
        prepared_builder("folder", str(path))

    return once("folder", fill)


@pytest.fixture
def open_folder(make_config):
    from ifnas_jax.data.source import open_dataset

    def open_folder(path, **changes):
        return open_dataset(make_config(path, name="folder", channels=3, **changes))

    return open_folder
