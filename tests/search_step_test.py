"""One search step: what moves, what stands still, and the same on every device."""

import os
import subprocess
import sys
import types

import jax
import numpy as np
import pytest

from ifnas_jax import config as config_lib
from ifnas_jax import distributed, training
from ifnas_jax.search import make_search
from ifnas_jax.search_step import initial_state, make_step

BATCH, L = 8, 2


def make_job():
    config = config_lib.default("mnist5k")
    with config.unlocked():
        config.space.update(num_precursors=L, nodes=(3, 3, 2))
        config.macro.update(width=4, search_width=4)
        config.dataset.image_size = 8
        config.sampling.period = 1
        config.relaxation.init_scale = 0.1
        config.search.update(
            batch_size=BATCH, weights_epochs=3.0, beta_epochs=3.0, alpha_epochs=3.0
        )
    config_lib.resolve(config, None)
    return make_search(config, types.SimpleNamespace(train=range(BATCH)))


def make_batch(seed=0):
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(BATCH, 8, 8, 1)).astype(np.float32)
    return distributed.shard({"image": images, "label": np.arange(BATCH) % 10})


@pytest.fixture(scope="module")
def run():
    """The masks, and the states before and after each of 12 steps."""
    job, mu = make_job(), np.full(2, 0.5, np.float32)
    kept = list(job.net.space.full())
    kept[0][2, 1] = False  # An edge that was pruned.
    masks = job.method.masks(tuple(kept), 0)
    state = initial_state(job)
    step, _ = training.compile_step(make_step(job), (state, masks, mu, make_batch()))
    states = [state]
    for index in range(12):
        state, _ = step(state, masks, mu, make_batch(index))
        states.append(jax.device_get(state))
    return masks, states


def changed(before, after):
    return np.asarray(before) != np.asarray(after)


@pytest.mark.parametrize("index", range(12))
def test_only_what_the_mask_and_phase_say_moves(run, index):
    masks, states = run
    before, after = states[index], states[index + 1]
    assert after.step == index + 1
    position = index % (L + 1)
    for s, stage in enumerate(masks):
        active, learned = stage.active[position], stage.learned[position]
        for logits, phase in (("beta", 3), ("alpha", 6)):
            on = active.any(axis=2) if logits == "beta" else active
            on = on & learned.reshape(-1, *(1,) * (on.ndim - 1))
            if index < phase:
                on = np.zeros_like(on)
            moved = changed(before.arch[logits][s], after.arch[logits][s])
            np.testing.assert_array_equal(moved, on)
            trace = [x.arch_optimizer[2].trace[logits][s] for x in (before, after)]
            np.testing.assert_array_equal(changed(*trace), on)
        on = active[:, :, 0]
        for a, b in zip(
            jax.tree.leaves(before.params["stages"][s]["sep_conv_3x3"]),
            jax.tree.leaves(after.params["stages"][s]["sep_conv_3x3"]),
            strict=True,
        ):
            moved = changed(a, b).reshape(*on.shape, -1).any(axis=2)
            assert not moved[~on].any()
            assert moved[on].any()
    assert changed(
        before.params["classifier"]["dense"]["kernel"],
        after.params["classifier"]["dense"]["kernel"],
    ).any()


def test_replicas_stay_the_same_bytes():
    """A forgotten `pmean` would let them drift apart without a word."""
    env = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = subprocess.run([sys.executable, __file__], env=env, check=False)
    assert done.returncode == 0


def check_replicas():
    assert jax.device_count() == 2
    job, mu = make_job(), np.full(2, 0.5, np.float32)
    masks = job.method.masks(job.net.space.full(), 0)
    state = initial_state(job)
    step, _ = training.compile_step(make_step(job), (state, masks, mu, make_batch()))
    first = jax.tree.leaves(state)
    for index in range(9):
        state, metrics = step(state, masks, mu, make_batch(index))
        jax.block_until_ready((state, metrics))
    for leaf in jax.tree.leaves((state, metrics)):
        one, two = (np.asarray(shard.data) for shard in leaf.addressable_shards)
        assert one.tobytes() == two.tobytes()
    last = jax.tree.leaves(state)
    assert any(changed(a, b).any() for a, b in zip(first, last, strict=True))


if __name__ == "__main__":
    check_replicas()
