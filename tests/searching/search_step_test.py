"""One search step: what moves, what stands still, and the same on every device."""

import dataclasses
import os
import subprocess
import sys
import types

import jax
import numpy as np
import pytest
from cheap import cheap
from documented import ROOT
from optax.tree_utils import tree_get

from ifnas_jax import config as config_lib
from ifnas_jax import training
from ifnas_jax.nn.nodes import add_nodes
from ifnas_jax.nn.pairs import add_pairs
from ifnas_jax.nn.supernet import Supernet
from ifnas_jax.runtime import distributed
from ifnas_jax.searching.make import make_search
from ifnas_jax.searching.step import initial_state, make_step

BATCH, L = 8, 2

pytestmark = pytest.mark.usefixtures("compiles_soon")


def cheap_net(*arguments):
    """A super-network of operators that compile soon."""
    return dataclasses.replace(Supernet(*arguments), wrap=cheap)


def make_job(supernet=cheap_net, **changes):
    config = config_lib.default("mnist5k")
    with config.unlocked():
        config.space.update(num_precursors=L, nodes=(3, 3, 2))
        config.macro.update(width=4, search_width=4)
        config.dataset.image_size = 8
        config.sampling.period = 1
        config.relaxation.init_scale = 0.1
        config.search.update(
            batch_size=BATCH,
            weights_epochs=3.0,
            beta_epochs=3.0,
            alpha_epochs=3.0,
            max_epochs=100.0,
        )
        config.update_from_flattened_dict(changes)
    config_lib.resolve(config, None)
    return make_search(config, types.SimpleNamespace(train=range(BATCH)), supernet)


def make_batch(seed=0):
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(BATCH, 8, 8, 1)).astype(np.float32)
    return distributed.shard({"image": images, "label": np.arange(BATCH) % 10})


@pytest.fixture(scope="module")
def run(compiles_soon):
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
            # So does its momentum.
            trace = [tree_get(x.arch_optimizer, "trace") for x in (before, after)]
            moved = changed(*(tree[logits][s] for tree in trace))
            np.testing.assert_array_equal(moved, on)
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


def train(job, steps, batch_of=make_batch):
    """The state and the losses after some steps, from the same beginning."""
    mu, losses = np.full(2, 0.05, np.float32), []
    masks = job.method.masks(job.net.space.full(), 0)
    state = initial_state(job)
    step, _ = training.compile_step(make_step(job), (state, masks, mu, batch_of(0)))
    for index in range(steps):
        state, metrics = step(state, masks, mu, batch_of(index))
        jax.block_until_ready((state, metrics))
        losses.append(float(metrics["loss"]))
    return state, losses


def flat(tree):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(jax.device_get(tree))])


def test_two_devices_equal_two_parts_on_one(tmp_path):
    """And hold the same bytes: a forgotten `pmean` would let them drift apart."""
    path = tmp_path / "two.npy"
    env = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    env["PYTHONPATH"] = str(ROOT / "tests")
    subprocess.run([sys.executable, __file__, str(path)], env=env, check=True)
    state, _ = train(make_job(**{"search.accumulate": 2}), 9)
    np.testing.assert_allclose(np.load(path), flat(state), rtol=1e-3, atol=1e-4)
    state, _ = train(make_job(), 9)
    assert not np.allclose(np.load(path), flat(state), rtol=1e-3, atol=1e-4)


def save_two_devices(path):
    assert jax.device_count() == 2
    job = make_job()
    state, _ = train(job, 9)
    for leaf in jax.tree.leaves(state):
        one, two = (np.asarray(shard.data) for shard in leaf.addressable_shards)
        assert one.tobytes() == two.tobytes()
    assert changed(flat(initial_state(job)), flat(state)).any()
    np.save(path, flat(state))


def test_node_by_node_the_steps_are_those_of_loops():
    """Over all phases and groups; later, rounding has grown."""
    ways = {"loops": add_pairs, "nodes": add_nodes}
    jobs = [make_job(**{"search.skipping": way}) for way in ways]
    assert [job.net.add for job in jobs] == list(ways.values())
    (one, losses), (other, others) = (train(job, 10) for job in jobs)
    np.testing.assert_allclose(losses, others, rtol=1e-4)
    states = initial_state(jobs[0]), one, other
    for before, *after in zip(*map(flat_leaves, states), strict=True):
        moved = [x - before for x in after]
        scale = np.abs(moved[0]).max()
        np.testing.assert_allclose(moved[0], moved[1], atol=2e-2 * scale + 1e-6)


def flat_leaves(state):
    return [flat(tree) for tree in (state.params, state.arch, state.arch_optimizer)]


if __name__ == "__main__":
    save_two_devices(sys.argv[1])
