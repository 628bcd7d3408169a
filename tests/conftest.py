"""What tests share: the embedded digits, prepared once, and a run of seconds."""

import os
import pathlib
import tempfile

import pytest
from commands import finish, start

from ifnas_jax.runtime import tpu

# The tests install libtpu, for preflight.
tpu.keep_quiet()

CACHE = "JAX_COMPILATION_CACHE_DIR"
LCHAIN4 = pathlib.Path(__file__).parents[1] / "configs" / "lchain4.py"

# A search of 3 precursors and 7 nodes that prunes several times in 150 steps, and a
# retraining of 60; the digits are real.
TINY = {
    "space.num_precursors": 3,
    "space.nodes": (2, 3, 2),
    "macro.width": 4,
    "macro.search_width": 4,
    "target_madds": 700_000,
    "sampling.period": 2,
    "search.batch_size": 16,
    "search.weights_epochs": 0.06,
    "search.beta_epochs": 0.03,
    "search.alpha_epochs": 0.03,
    "search.max_epochs": 1.0,
    "search.arch_learning_rate": 0.5,
    "search.valid_every": 4,
    "search.checkpoint_every": 1,
    "penalty.delta": 0.5,
    "penalty.prune_epochs": 0.3,
    "retrain.batch_size": 200,
    "retrain.epochs": 3,
    "retrain.test_every": 2,
    "retrain.checkpoint_every": 2,
    "log_every": 5,
    # TensorFlow takes ten seconds to import.
    "tensorboard": False,
}


def pytest_configure(config):
    """What several tests compile is compiled once, by workers and runs alike."""
    if CACHE not in os.environ:
        config.compiled = tempfile.TemporaryDirectory()
        os.environ[CACHE] = config.compiled.name


def pytest_unconfigure(config):
    """Only the process that made the cache removes it, when all others are gone."""
    if hasattr(config, "compiled"):
        config.compiled.cleanup()


@pytest.fixture(scope="session")
def mnist5k_dir(tmp_path_factory):
    """A TFDS folder in which mnist5k is prepared; nobody may write to it."""
    from ifnas_jax.data.builder import prepared_builder

    path = tmp_path_factory.mktemp("tfds")
    prepared_builder("mnist5k", str(path))
    return path


@pytest.fixture
def run_pair(mnist5k_dir, tmp_path):
    """A function: the row of a method in a space, from search to retraining."""
    from benchmarks import matrix

    def run(method, space):
        flags = [f"--config.dataset.data_dir={mnist5k_dir}"]
        # It checks what is derived, and raises if the run fails.
        row = matrix.run(method, space, str(tmp_path), flags)
        return row

    return run


@pytest.fixture(scope="session")
def tiny_flags(mnist5k_dir):
    """A function: the command line of a tiny run in a workdir."""

    def flags(workdir, **changes):
        fields = {**TINY, "dataset.data_dir": mnist5k_dir, **changes}
        return [
            f"--config={LCHAIN4}:mnist5k",
            f"--workdir={workdir}",
            *(f"--config.{name}={value}" for name, value in fields.items()),
        ]

    return flags


@pytest.fixture(scope="session")
def finished(tiny_flags, tmp_path_factory):
    """An undisturbed run, which nobody may write to, and what it printed."""
    workdir = tmp_path_factory.mktemp("run") / "a"
    return workdir, finish(start(tiny_flags(workdir)))
