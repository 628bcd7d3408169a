"""Sweeps of seconds, on a quarter of the digits."""

import pytest
from tiny import TINY

from ifnas_jax.experiments import __main__ as command
from ifnas_jax.experiments.cells import Place
from ifnas_jax.run.workdir import Workdir

# Fewer steps than those of a tiny run: it is the sweep that is looked at. Four nodes,
# so that random groups are not the same as others.
SHORT = {
    **TINY,
    "space.nodes": (1, 4, 1),
    "target_madds": 530_000,
    "search.max_epochs": 0.8,
    "retrain.epochs": 1,
}


@pytest.fixture(scope="session")
def sweep_flags(digits_dir):
    """A function: the command line of an experiment of tiny runs."""

    def flags(name, workdir, *more):
        changes = {**SHORT, "retrain.final_epochs": 0}
        return [
            name,
            f"--workdir={workdir}",
            "--dataset=mnist5k",
            f"--data-dir={digits_dir}",
            *(f"--config.{field}={value}" for field, value in changes.items()),
            *more,
        ]

    return flags


@pytest.fixture(scope="session")
def swept(once, sweep_flags):
    """The workdir of Table 4 with IF, one seed; nobody may write to it."""

    def fill(path):
        flags = sweep_flags("table4", path / "sweep", "--seeds=1", "--only=w/ IF")
        assert command.main(flags) == 0

    return once("swept", fill) / "sweep"


@pytest.fixture(scope="session")
def kept_one(swept):
    """The workdir of a search that keeps one input a node."""
    place = Place(str(swept))
    (name,) = [x.name for x in (swept / "runs").iterdir() if x.name.endswith("search")]
    return Workdir(f"{place.runs}/{name}")
