"""First values against Linen's own init: the same trees, the same distributions."""

import functools
import importlib
import types

import flax.linen as nn
import jax
import numpy as np
import pytest
from networks import random_architecture

from ifnas_jax import config as config_lib
from ifnas_jax import training
from ifnas_jax.architecture import from_kept
from ifnas_jax.architecture.cost import Macro
from ifnas_jax.nn import initial
from ifnas_jax.nn.network import Network
from ifnas_jax.nn.supernet import Supernet
from ifnas_jax.retraining import step as retrain
from ifnas_jax.searching import step as search
from ifnas_jax.searching.make import make_search
from ifnas_jax.spaces import darts, lchain

# Of each network, so that small arrays have enough values to tell a variance.
COPIES = 32


def init_of(network):
    macro = network.architecture.macro
    size = macro.image_size
    # Not of JAX: it would be compiled by all workers at once, which read this file.
    image = np.zeros((1, size, size, macro.channels), np.float32)
    return functools.partial(network.init, images=image, train=True)


def derived(macro, space):
    return init_of(Network(random_architecture(1, macro, space), auxiliary=True))


INITS = {
    "chain": Supernet(lchain(2, (2, 1, 1)), Macro(8, 10, 8, 1, "small")).init,
    "cells": Supernet(darts(2, 2), Macro(16, 10, 64, 3, "imagenet", cells=3)).init,
    "derived chain": derived(Macro(8, 10, 224, 3, "imagenet"), lchain(2, (2, 1, 1))),
    "derived cells": derived(Macro(8, 10, 32, 1, "small", cells=3), darts(2, 2)),
}


def copies(init):
    """The same of many keys, which are stacked."""
    return lambda rng: jax.vmap(init)(jax.random.split(rng, COPIES))


@pytest.mark.parametrize("name", INITS)
def test_draws_what_linen_draws_in_distribution(name, monkeypatch):
    """With nothing compiled. (Another fan-in, or no cut at ±2, is told apart.)"""
    init = copies(INITS[name])
    expected = training.jit_once(init)(jax.random.key(0))
    monkeypatch.setattr(training, "jit_once", None)
    drawn = initial.draw(init, jax.random.key(1))
    assert jax.tree.structure(drawn) == jax.tree.structure(expected)
    jax.tree.map(assert_alike, drawn, jax.device_get(expected))


def assert_alike(ours, theirs):
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    if np.ptp(theirs) == 0:
        np.testing.assert_array_equal(ours, theirs)
        return
    # Six deviations of the difference of two estimates of the variance.
    tolerance = 6 * (2 * 1.37 / ours.size) ** 0.5
    assert tolerance < 0.25
    assert abs(ours.var() / theirs.var() - 1) < tolerance
    assert abs(ours.mean()) < 6 * ours.std() / ours.size**0.5
    assert abs(np.abs(ours).max() / np.abs(theirs).max() - 1) < 0.03


def test_a_key_decides_every_byte():
    init = INITS["derived cells"]
    one, same, other = (initial.draw(init, jax.random.key(k)) for k in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, one, same)
    kernels = [
        (a, b)
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
        if np.ptp(a)
    ]
    assert len(kernels) > 20
    assert all((a != b).any() for a, b in kernels)
    # And no two arrays begin alike.
    assert len({a.flat[0] for a, _ in kernels}) == len(kernels)


def test_a_draw_leaves_no_trace():
    """What JAX keeps of it is not what others get."""
    init = INITS["chain"]
    initial.draw(init, jax.random.key(0))
    leaves = jax.tree.leaves(
        jax.eval_shape(init, jax.random.key(0)), is_leaf=nn.meta.is_axis_metadata
    )
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves)


OWN = """
import flax.linen as nn
from ifnas_jax.nn.ops import PointwiseConv

def half(x, train, *, features, dtype, sync, stride):
    kernel_init = nn.initializers.uniform(3.0)
    how = {"kernel_init": kernel_init, "bias_init": nn.initializers.constant(0.5)}
    x = nn.Conv(features, (1, 1), strides=stride, dtype=dtype, **how)(x)
    x = nn.BatchNorm(use_running_average=not train, dtype=dtype)(x)
    return PointwiseConv(features, dtype)(x)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "unusual.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    return "unusual:half"


def test_layers_of_ones_own_keep_their_initializers(own):
    """In fact their very values: they come from Linen's init."""
    space = lchain(2, (2, 1, 1), operators=("skip_connect", own))
    macro = Macro(8, 10, 8, 1, "small")
    network = Network(from_kept(space, space.full(), macro))
    for init in (Supernet(space, macro).init, init_of(network)):
        expected = jax.device_get(training.jit_once(init)(jax.random.key(0)))
        drawn = initial.draw(init, jax.random.key(0))
        assert jax.tree.structure(drawn) == jax.tree.structure(expected)
        seen = set()
        pairs = zip(
            jax.tree.leaves_with_path(drawn), jax.tree.leaves(expected), strict=True
        )
        for (path, ours), theirs in pairs:
            keys = {getattr(key, "key", None) for key in path}
            if keys & {"Conv_0", "BatchNorm_0"}:
                np.testing.assert_array_equal(ours, theirs)
                seen.add(path[-1].key)
                if keys >= {"Conv_0", "kernel"}:
                    assert ours.min() >= 0
                    assert 2 < ours.max() < 3
                if keys >= {"Conv_0", "bias"}:
                    assert (ours == 0.5).all()
            elif "PointwiseConv_0" in keys:
                assert (ours != theirs).any()
        assert seen >= {"kernel", "bias", "scale"}


def make_config(**changes):
    config = config_lib.default("mnist5k")
    with config.unlocked():
        config.space.update(num_precursors=2, nodes=(2, 1, 1))
        config.macro.update(width=4, search_width=4)
        config.dataset.image_size = 8
        config.update_from_flattened_dict(changes)
    config_lib.resolve(config, None)
    return config


def shapes(tree):
    return jax.tree.map(lambda x: (np.shape(x), x.dtype), tree)


@pytest.mark.parametrize("method", ["ifnas", "darts", "randomws"])
def test_a_search_begins_with_what_its_init_says(method):
    job = make_search(
        make_config(method=method), types.SimpleNamespace(train=range(10_000))
    )
    state = search.initial_state(job)
    assert shapes(state) == shapes(jax.eval_shape(search.make_init(job)))
    expected = training.jit_once(search.make_init(job))()
    jax.tree.map(np.testing.assert_array_equal, state.arch, expected.arch)
    rest = state.step, state.params_optimizer, state.arch_optimizer
    assert all(isinstance(x, np.ndarray | np.generic) for x in jax.tree.leaves(state))
    assert not any(np.any(x) for x in jax.tree.leaves(rest))


def test_a_retraining_begins_with_values_of_its_own():
    config = make_config(**{"dataset.image_size": 28})
    space = config_lib.space(config)
    found = from_kept(space, space.full(), config_lib.macro(config))
    network = retrain.make_network(config, found)
    optimizer = retrain.make_optimizer(config, epoch=10)
    state = retrain.initial_state(config, network, optimizer)
    init = retrain.make_init(config, network, optimizer)
    assert shapes(state) == shapes(jax.eval_shape(init))
    assert not any(np.any(x) for x in jax.tree.leaves((state.step, state.optimizer)))
    job = make_search(config, types.SimpleNamespace(train=range(10_000)))
    stem = search.initial_state(job).params["stem"]["conv"]["conv"]["kernel"]
    own = state.params["stem"]["conv"]["conv"]["kernel"]
    assert own.shape == stem.shape
    assert (own != stem).all()
