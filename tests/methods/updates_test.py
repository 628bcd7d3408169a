"""One whole update of each kind of method against NumPy arithmetic.

The gradients come from `jax.grad` of losses that are written out here; a network of a
few matrices stands for the super-network.
"""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matrices import CLASSES, Net
from penalties import penalty

from ifnas_jax import config as config_lib
from ifnas_jax import training
from ifnas_jax.runtime import distributed
from ifnas_jax.searching.make import make_search
from ifnas_jax.searching.step import initial_state, make_step

BATCH, L = 8, 2
MU = np.array([0.2, 0.3], np.float32)
# Epochs of one step: the weights alone for 3, β for 2 more, then α too.
BETA, ALPHA, STEPS = 3, 5, 8
BILEVEL = ("darts", "darts2", "pcdarts", "fairdarts")
METHODS = ("ifnas", "dnas", "goldnas", "randomws", *BILEVEL)
SEARCH = {"momentum": 0.9, "weight_decay": 0.01, "clip": 0.5, "learning_rate": 0.2}
ARCH = {"arch_learning_rate": 0.3, "arch_momentum": 0.8, "arch_weight_decay": 0.02}
ADAM = {"learning_rate": 0.05, "b1": 0.5, "b2": 0.999, "weight_decay": 0.1}

pytestmark = pytest.mark.usefixtures("compiles_soon")


def make_job(name):
    config = config_lib.default("mnist5k")
    config.method = name.rstrip("2")
    config.derive = "keep1" if name == "randomws" else "auto"
    config.darts.order = 2 if name.endswith("2") else 1
    config.space.update(num_precursors=L, nodes=(3, 1, 1))
    config.sampling.period = 1
    config.relaxation.init_scale = 1.0
    config.search.update(batch_size=BATCH, weights_epochs=float(BETA), **SEARCH, **ARCH)
    config.search.update(beta_epochs=float(ALPHA - BETA), alpha_epochs=2.0)
    config.bilevel.update(ADAM)
    config_lib.resolve(config, None)
    return make_search(config, types.SimpleNamespace(train=range(BATCH)), Net)


def make_batch(seed):
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(BATCH, 2, 2, 1)).astype(np.float32)
    return {"image": images, "label": rng.integers(0, CLASSES, BATCH)}


class Run:
    """A compiled step, and the states before and after each update."""

    def __init__(self, name):
        self.name, self.job = name, make_job(name)
        kept = list(self.job.net.space.full())
        kept[0][2, 1] = False  # an edge that was pruned
        self.masks = self.job.method.masks(tuple(kept), 0)
        state = initial_state(self.job)
        batch = distributed.shard(self.batch(0))
        arguments = state, self.masks, MU, batch
        step, _ = training.compile_step(make_step(self.job), arguments)
        self._step, self.states = step, [state]
        for index in range(STEPS):
            self.states.append(self.step(self.states[-1], self.batch(index)))

    def batch(self, seed, arch_seed=None):
        batch = make_batch(seed)
        if self.name in BILEVEL:
            batch["arch"] = make_batch(100 + (seed if arch_seed is None else arch_seed))
        return batch

    def step(self, state, batch):
        state, _ = self._step(state, self.masks, MU, distributed.shard(batch))
        return jax.device_get(state)

    def now(self, index):
        """The masks of a step."""
        return jax.tree.map(lambda mask: mask[index % (L + 1)], self.masks)


@pytest.fixture(scope="module", params=METHODS)
def run(request, compiles_soon):
    return Run(request.param)


def losses(run, index):
    """The loss on a batch, without and with the penalty, of (weights, α)."""
    now = run.now(index)
    active = [stage.active for stage in now]

    def loss(params, arch, batch):
        weights = run.job.method.weights(arch, now)
        logits = run.job.net.apply(params, weights, active, batch["image"])
        logs = logits - jax.nn.logsumexp(logits, axis=1, keepdims=True)
        return -jnp.mean(logs[np.arange(BATCH), batch["label"]])

    def penalized(params, arch, batch):
        return loss(params, arch, batch) + penalty(run.name, arch, now, MU, jnp)

    return loss, penalized


def arch_gradient(run, index, state, rate, trace):
    """What moves the architecture: one-level, or on its own batch."""
    loss, penalized = losses(run, index)
    batch = run.batch(index)
    if run.name not in BILEVEL:
        return jax.grad(penalized, 1)(state.params, state.arch, batch)
    if run.name != "darts2":
        return jax.grad(penalized, 1)(state.params, state.arch, batch["arch"])

    def unrolled(arch):
        gradient = jax.grad(loss)(state.params, arch, batch)
        ahead = jax.tree.map(
            lambda w, g, t: w - rate * (0.9 * t + g + 0.01 * w),
            state.params,
            gradient,
            trace,
        )
        return penalized(ahead, arch, batch["arch"])

    return jax.grad(unrolled)(state.arch)


def on_of(run, index, names):
    """Which architecture parameters move in a step."""
    result = {}
    for name in names:
        late = ALPHA if name == "alpha" and run.name in ("ifnas", "dnas") else BETA
        result[name] = tuple(
            (stage.active if name == "alpha" else stage.active.any(axis=2))
            & stage.learned.reshape(-1, *(1,) * (2 if name == "alpha" else 1))
            & (index >= late)
            for stage in run.now(index)
        )
    return result


def unzip(arch, count):
    """A tree like the architecture, of tuples, as that many trees."""
    return [
        {name: tuple(x[i] for x in stages) for name, stages in arch.items()}
        for i in range(count)
    ]


def assert_close(found, expected):
    for ours, theirs in zip(
        jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)


def moved_arch(run, index, arch, gradient, moments):
    """The architecture after a step, and the moments of its optimizer."""
    on = on_of(run, index, arch)
    # Adam's steps so far, this one too; none while the weights move alone.
    moving, count = index >= BETA, max(index + 1 - BETA, 1)

    def adam(a, g, m, v, on):
        g = g + ADAM["weight_decay"] * a
        m = np.where(moving, 0.5 * m + 0.5 * g, m)
        v = np.where(moving, 0.999 * v + 0.001 * g**2, v)
        scale = np.sqrt(v / (1 - 0.999**count)) + 1e-8
        return m, v, np.where(on, a - 0.05 * m / (1 - 0.5**count) / scale, a)

    def sgd(a, g, m, unused, on):
        m = np.where(on, 0.8 * m + g + 0.02 * a, m)
        return m, unused, np.where(on, a - 0.3 * m, a)

    rule = adam if run.name in BILEVEL else sgd
    *moments, moved = unzip(jax.tree.map(rule, arch, gradient, *moments, on), 3)
    return moments, moved


def moved_params(run, index, params, gradient, trace, rate):
    """The weights after a step, the running sum, and the gradient's norm."""
    norm = np.sqrt(sum((g**2).sum() for g in jax.tree.leaves(gradient)))
    active = {
        "stem": True,
        "classifier": True,
        "stages": [stage.active[..., None, None] for stage in run.now(index)],
    }

    def accumulate(w, g, t, on):
        return np.where(on, 0.9 * t + g * min(1, 0.5 / norm) + 0.01 * w, t)

    trace = jax.tree.map(accumulate, params, gradient, trace, active)
    moved = jax.tree.map(
        lambda w, t, on: np.where(on, w - rate * t, w), params, trace, active
    )
    return moved, trace, norm


def test_updates_are_those_of_numpy(run):
    first, norms = run.states[0], []
    trace = jax.tree.map(np.zeros_like, first.params)
    moments = [jax.tree.map(np.zeros_like, first.arch) for _ in range(2)]
    assert run.job.schedule.beta == BETA
    for index in range(STEPS):
        before, after = run.states[index], run.states[index + 1]
        rate = 0.2 * (1 - index / run.job.schedule.total)
        gradient = arch_gradient(run, index, before, rate, trace)
        moments, arch = moved_arch(run, index, before.arch, gradient, moments)
        assert_close(after.arch, arch)
        # The weights of a bi-level method see the architecture that has moved.
        arch = after.arch if run.name in BILEVEL else before.arch
        loss, _ = losses(run, index)
        gradient = jax.grad(loss)(before.params, arch, run.batch(index))
        params, trace, norm = moved_params(
            run, index, before.params, gradient, trace, rate
        )
        norms.append(norm)
        assert_close(after.params, params)
    assert max(norms) > 0.5  # some gradients were clipped


def test_only_the_weights_move_in_their_phase(run):
    for index in range(STEPS):
        before, after = run.states[index], run.states[index + 1]
        same = [
            jax.tree.all(jax.tree.map(np.array_equal, *pair))
            for pair in (
                (before.arch, after.arch),
                (before.arch_optimizer, after.arch_optimizer),
            )
        ]
        # IF-NAS' first step of a loop trains the whole network, and no gates.
        frozen = index < BETA or (run.name == "ifnas" and index % (L + 1) == 0)
        frozen |= run.name == "randomws"
        assert same == [frozen, frozen]
        assert not np.array_equal(before.params["stem"], after.params["stem"])


def test_which_batch_moves_the_architecture(run):
    if run.name not in BILEVEL:
        assert "arch" not in run.batch(0)
        return
    state = run.states[6]
    base, other_weights, other_arch = (
        run.step(state, run.batch(*seeds)) for seeds in ((1, 1), (2, 1), (1, 2))
    )

    def same(other):
        return jax.tree.all(jax.tree.map(np.array_equal, base.arch, other.arch))

    assert same(other_weights) == (run.name != "darts2")
    assert not same(other_arch)
    assert not np.array_equal(base.params["stem"], other_weights.params["stem"])
