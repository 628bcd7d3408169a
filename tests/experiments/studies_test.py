"""Studies, each run once for real: one node's gates, and a super-network's ranking."""

import functools
import shutil

import numpy as np
import pytest

from ifnas_jax import config as config_lib
from ifnas_jax import files
from ifnas_jax.experiments import __main__ as command
from ifnas_jax.experiments import cells, measures, ranking, scales, table4
from ifnas_jax.experiments.settings import Cell

ONE_NODE = {
    "macro.search_width": 4,
    "search.batch_size": 16,
    "search.weights_epochs": 0.1,
    "search.beta_epochs": 0.2,
    "search.max_epochs": 1.0,
}


def test_one_node_learns_from_its_phase_on(digits_dir, tmp_path):
    flags = [f"--config.{name}={value}" for name, value in ONE_NODE.items()]
    flags += ["--dataset=mnist5k", f"--data-dir={digits_dir}", "--seeds=1"]
    only = "--only=added: (1, 4), (2, 6), (3, 7)"
    assert command.main(["figure1", f"--workdir={tmp_path}", only, *flags]) == 0
    (path,) = (tmp_path / "cells").iterdir()
    told = files.read_json(path)
    gates = np.array([row["gates"] for row in told["rows"]])
    steps = np.array([row["step"] for row in told["rows"]])
    still = steps <= told["begin"]
    assert still.any()
    assert gates[still] == pytest.approx(0.5, abs=1e-4)
    assert np.ptp(gates[~still], axis=0).min() > 1e-4
    page = (tmp_path / "results" / "figure1.md").read_text("utf-8")
    shown = f"{gates[-1, 0]:.3f}"
    assert f"| added: (1, 4), (2, 6), (3, 7) | 1 | {shown} |" in page


@pytest.fixture
def rank(sweep_flags, monkeypatch):
    """A function: ranks three networks by the weights of one search."""
    monkeypatch.setattr(ranking, "COUNT", 3)

    def rank(workdir, *more):
        only = "--only=weights of IF-NAS"
        return command.main(sweep_flags("ranking", workdir, only, "--seeds=1", *more))

    return rank


def test_a_search_ranks_networks_by_its_last_weights(rank, tmp_path, capsys):
    """There is a checkpoint of the last step, however seldom one is asked for."""
    few = "--config.search.checkpoint_every=1000"
    # Long enough that it matters which of its weights a network has.
    flags = few, "--config.search.max_epochs=3"
    assert rank(tmp_path, *flags) == 0
    (path,) = (tmp_path / "cells").iterdir()
    accuracies = files.read_json(path)["accuracies"]
    assert len(accuracies) == 3
    # As parts of a network that was trained some, on ten classes.
    assert all(0 < own < 1 for own in accuracies)
    assert len(set(accuracies)) > 1
    path.unlink()
    (checkpoints,) = tmp_path.rglob("checkpoints")
    shutil.rmtree(checkpoints)
    assert rank(tmp_path, *flags) == 2
    assert "has no checkpoint of the end of its search" in capsys.readouterr().err


def test_pairs_are_told_of_the_cells_own_seed(kept_one, sweep_flags, tmp_path):
    """Random groups are others with each seed, also where seeds are one program."""
    flags = sweep_flags("table4", tmp_path)
    overrides = tuple(flag for flag in flags if flag.startswith("--config."))
    base = functools.partial(scales.base, "proxy", "mnist5k", "", overrides)
    (setting,) = (s for s in table4.settings(base) if s.label == "random groups")
    found = set()
    for seed in range(6):
        told = cells._tell(Cell(setting, seed, "search"), kept_one)
        config = setting.with_seed(seed, ("search",))
        config_lib.resolve(config, None)
        assert told["interleaved"] == measures.active_pairs(config)["interleaved"]
        found.add(tuple(told["interleaved"]))
    assert len(found) > 1
