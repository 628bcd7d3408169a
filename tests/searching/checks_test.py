"""What is refused with the data at hand: architectures of others, budgets not drawn."""

import contextlib
import types

import numpy as np
import pytest
from documented import ROOT
from matrices import Net

from ifnas_jax import config as config_lib
from ifnas_jax.architecture import from_kept
from ifnas_jax.config.command_line import load_config
from ifnas_jax.errors import InputError
from ifnas_jax.methods import draws
from ifnas_jax.retraining.check import check_architecture
from ifnas_jax.searching.make import check_draws, make_search

CONFIGS = ROOT / "configs"


def preset(name, **changes):
    config = load_config(f"{CONFIGS / name}.py:mnist5k")
    config.update_from_flattened_dict(changes)
    config_lib.resolve(config, None)
    return config


def found_by(name):
    config = preset(name)
    space, rng = config_lib.space(config), np.random.default_rng(0)
    kept = draws.inputs(space, rng, 2, one_operator=True)
    return from_kept(space, kept, config_lib.macro(config))


@pytest.mark.parametrize("name", ["lchain4", "darts_space", "goldnas_space"])
def test_its_own_config_takes_it(name):
    assert check_architecture(preset(name), found_by(name), "FILE") is None


@pytest.mark.parametrize(
    ("name", "other", "message"),
    [
        ("goldnas_space", "darts_space", "space.name is 'goldnas', .* is of 'darts'"),
        ("darts_space", "goldnas_space", "space.name is 'darts', .* is of 'goldnas'"),
        ("lchain4", "darts_space", "space.name is 'lchain', .* is of 'darts'"),
        ("lchain4", "lchain6", "space.num_precursors is 4, .* is of 6"),
    ],
)
def test_one_of_another_space_is_refused(name, other, message):
    with pytest.raises(InputError, match=f"{message}; use a config of its space"):
        check_architecture(preset(name), found_by(other), "FILE")


def test_one_of_other_sizes_is_refused():
    config = preset("lchain4", **{"macro.width": 24})
    with pytest.raises(InputError, match=r"macro\.width is 24, but FILE is of 16"):
        check_architecture(config, found_by("lchain4"), "FILE")


@pytest.mark.parametrize("derive", ["target", "keep1"])
@pytest.mark.parametrize("method", ["random", "randomws"])
def test_only_a_run_of_many_draws_needs_a_target_that_is_often_drawn(method, derive):
    # In the tail of what is drawn.
    changes = {"method": method, "derive": derive, "target_madds": 12_150_000}
    config = preset("lchain1", **changes)
    refused = (method, derive) == ("randomws", "target")
    with (
        pytest.raises(InputError, match="too few for a run that draws thousands")
        if refused
        else contextlib.nullcontext()
    ):
        check_draws(make_search(config, types.SimpleNamespace(train=range(4000)), Net))
