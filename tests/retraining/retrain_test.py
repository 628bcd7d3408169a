"""The retraining step on two devices, and in two parts on one."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from ifnas_jax import config as config_lib
from ifnas_jax import training
from ifnas_jax.architecture import from_kept
from ifnas_jax.data.views import Joined
from ifnas_jax.retraining.step import (
    initial_state,
    make_network,
    make_optimizer,
    make_step,
)
from ifnas_jax.runtime import distributed

BATCH = 8

pytestmark = pytest.mark.usefixtures("compiles_soon")


def make_batch(seed):
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(BATCH, 28, 28, 1)).astype(np.float32)
    return distributed.shard({"image": images, "label": np.arange(BATCH) % 10})


def train(sync_bn, steps=3, accumulate=1):
    """States after a few steps of a chain with one node a stage."""
    config = config_lib.default("mnist5k")
    with config.unlocked():
        config.space.update(num_precursors=1, nodes=(1, 1, 1))
        config.macro.width = 4
        config.retrain.update(
            sync_bn=sync_bn, learning_rate=0.02, accumulate=accumulate
        )
    space = config_lib.space(config)
    network = make_network(
        config, from_kept(space, space.full(), config_lib.macro(config))
    )
    optimizer = make_optimizer(config, epoch=10)
    state = initial_state(config, network, optimizer)
    step, _ = training.compile_step(
        make_step(config, network, optimizer), (state, make_batch(0))
    )
    for index in range(steps):
        state, metrics = step(state, make_batch(index))
        jax.block_until_ready((state, metrics))
    return state, metrics


def test_training_split_is_read_whole():
    whole = Joined([0, 1, 2], [3], [4, 5])
    assert [whole[index] for index in range(len(whole))] == list(range(6))
    with pytest.raises(IndexError):
        whole[6]


def flat(tree):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(jax.device_get(tree))])


@pytest.fixture(scope="module")
def two(tmp_path_factory, compiles_soon):
    """States on two devices, by `sync_bn`."""
    path = tmp_path_factory.mktemp("two") / "two.npy"
    env = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    subprocess.run([sys.executable, __file__, str(path)], env=env, check=True)
    return np.load(path)


def test_two_devices_with_sync_bn_equal_one(two):
    state, _ = train(sync_bn=True)
    np.testing.assert_allclose(two[1], flat(state), rtol=1e-3, atol=1e-4)


def test_two_devices_equal_two_parts_on_one(two):
    """Batch norm is each device's, or each part's, own."""
    state, _ = train(sync_bn=False, accumulate=2)
    np.testing.assert_allclose(two[0], flat(state), rtol=1e-3, atol=1e-4)
    # Statistics of half a batch are others than those of the whole one.
    assert not np.allclose(two[0], two[1], rtol=1e-3, atol=1e-4)


def save_two_devices(path):
    assert jax.device_count() == 2
    states = []
    for sync_bn in (False, True):
        state, metrics = train(sync_bn)
        for leaf in jax.tree.leaves((state, metrics)):
            first, second = (np.asarray(s.data) for s in leaf.addressable_shards)
            assert first.tobytes() == second.tobytes()
        states.append(flat(state))
    np.save(path, np.stack(states))


if __name__ == "__main__":
    save_two_devices(sys.argv[1])
