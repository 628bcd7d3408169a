import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifnas_jax import training
from ifnas_jax.errors import DivergedError, InputError


def test_sgd_is_pytorchs_where_active_and_stands_still_elsewhere():
    rng = np.random.default_rng(0)
    lr, momentum, decay, clip = 0.1, 0.9, 0.01, 2.0
    optimizer = training.sgd(lr, momentum, decay, clip)
    params = {"a": rng.normal(size=5), "b": rng.normal(size=(2, 3))}
    params = jax.tree.map(jnp.float32, params)
    state = optimizer.init(params)
    ours, trace = jax.tree.map(np.array, params), jax.tree.map(np.zeros_like, params)
    for _ in range(6):
        active = {"a": rng.random(5) < 0.5, "b": rng.random((2, 1)) < 0.5}
        # The gradient of what is inactive is zero.
        grads = {
            key: np.where(active[key], 3 * rng.normal(size=ours[key].shape), 0)
            for key in ours
        }
        updates, state = optimizer.update(
            jax.tree.map(jnp.float32, grads), state, params, active=active
        )
        params = jax.tree.map(jnp.add, params, updates)
        norm = np.sqrt(sum((g**2).sum() for g in grads.values()))
        for key in ours:
            grad = grads[key] * min(1, clip / norm) + decay * ours[key]
            new = momentum * trace[key] + grad
            trace[key] = np.where(active[key], new, trace[key])
            ours[key] = np.where(active[key], ours[key] - lr * new, ours[key])
    for key in ours:
        np.testing.assert_allclose(params[key], ours[key], rtol=1e-5, atol=1e-6)


def test_adam_is_pytorchs_where_active_and_starts_with_its_phase():
    rng = np.random.default_rng(0)
    lr, b1, b2, decay = 0.1, 0.5, 0.999, 0.01
    optimizer = training.adam(lr, b1, b2, decay)
    params = jnp.float32(rng.normal(size=6))
    state = optimizer.init(params)
    active = np.array([1, 1, 0, 1, 0, 1], bool)
    ours, m, v, count = np.array(params, float), np.zeros(6), np.zeros(6), 0
    for step in range(8):
        moving = active & (step >= 3)
        grads = rng.normal(size=6) if step >= 3 else np.zeros(6)
        before = jax.device_get(state)
        updates, state = optimizer.update(
            jnp.float32(grads), state, params, active=moving
        )
        params = params + updates
        if step < 3:
            assert jax.tree.all(jax.tree.map(np.array_equal, before, state))
        else:
            count += 1
            grads = grads + decay * ours
            m, v = b1 * m + (1 - b1) * grads, b2 * v + (1 - b2) * grads**2
            change = lr * m / (1 - b1**count)
            change /= np.sqrt(v / (1 - b2**count)) + 1e-8
            ours = np.where(moving, ours - change, ours)
        np.testing.assert_allclose(params, ours, rtol=1e-5, atol=1e-6)
    assert count == 5


def test_the_momentum_of_sgd_is_found_in_its_state():
    optimizer = training.sgd(0.1, 0.9, 0.0, clip=None)
    params = {"a": jnp.arange(3.0)}
    state = optimizer.init(params)
    for _ in range(2):
        active = {"a": jnp.array([True, True, False])}
        grads = {"a": jnp.ones(3)}
        _, state = optimizer.update(grads, state, params, active=active)
    np.testing.assert_allclose(training.momentum_trace(state)["a"], [1.9, 1.9, 0])


@pytest.mark.parametrize("classes", [3, 12])
def test_hits_count_every_row_once(classes):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(23, classes)).astype(np.float32)
    labels = rng.integers(0, classes, 23).astype(np.int32)
    order = np.argsort(-logits, axis=1)
    step = jax.pmap(training.count_hits, "batch", out_axes=None)
    batches = []
    for start in range(0, 23, 8):
        rows = np.arange(start, start + 8)
        batches.append(
            {
                "image": logits[rows % 23],
                "label": labels[rows % 23],
                "mask": (rows < 23).astype(np.float32),
            }
        )
    result = training.evaluate(
        lambda batch: step(batch["image"], batch["label"], batch["mask"]), (), batches
    )
    hits = order == labels[:, None]
    assert result["top1"] == pytest.approx(hits[:, 0].mean())
    assert result["top5"] == pytest.approx(hits[:, :5].any(axis=1).mean())


def test_a_network_of_nan_is_never_right():
    logits = jnp.full((1, 2, 4), jnp.nan)
    step = jax.pmap(training.count_hits, "batch", out_axes=None)
    counts = step(logits, jnp.zeros((1, 2), jnp.int32), jnp.ones((1, 2)))
    assert counts["top1"] == counts["top5"] == 0
    assert counts["rows"] == 2


def test_meter_averages_and_refuses_what_is_not_finite():
    meter = training.Meter()
    for value in (1.0, 2.0, 6.0):
        meter.add({"loss": jnp.float32(value)})
    assert meter.mean(3) == {"loss": 3.0}
    meter.add({"loss": jnp.float32(jnp.inf)})
    with pytest.raises(DivergedError, match="step 4"):
        meter.mean(4)


def test_label_smoothing_keeps_its_share_of_every_class():
    logits = jax.random.normal(jax.random.key(0), (4, 5))
    labels = jnp.array([0, 1, 2, 3])
    logs = np.array(jax.nn.log_softmax(logits))
    targets = 0.9 * np.eye(5)[:4] + 0.1 / 5
    expected = -(targets * logs).sum(axis=1).mean()
    assert training.cross_entropy(logits, labels, 0.1) == pytest.approx(expected, 1e-5)


@pytest.mark.parametrize(
    ("platform", "capability", "dtype"),
    [
        ("cpu", None, "float32"),
        ("tpu", None, "bfloat16"),
        ("gpu", "7.5", "float32"),
        ("gpu", "8.0", "bfloat16"),
        ("gpu", "12.1", "bfloat16"),
        ("gpu", "gfx90a", "float32"),
    ],
)
def test_auto_is_bfloat16_where_that_is_fast(platform, capability, dtype, monkeypatch):
    device = types.SimpleNamespace(platform=platform, compute_capability=capability)
    monkeypatch.setattr(jax, "devices", lambda: [device])
    config = types.SimpleNamespace(dtype="auto")
    assert training.compute_dtype(config) == dtype
    config.dtype = "float32"
    assert training.compute_dtype(config) == "float32"


@pytest.mark.parametrize(
    ("backend", "processes", "seeds", "lanes", "skipping"),
    [
        ("cpu", 1, 1, "auto", "loops"),
        ("cpu", 1, 8, "in_turn", "loops"),
        ("gpu", 1, 1, "auto", "nodes"),
        ("gpu", 1, 8, "together", "nodes"),
        ("gpu", 2, 8, "in_turn", "nodes"),
        ("tpu", 1, 1, "auto", "loops"),
        ("tpu", 1, 8, "together", "nodes"),
    ],
)
def test_what_auto_is_on_a_platform(
    backend, processes, seeds, lanes, skipping, monkeypatch
):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(jax, "process_count", lambda: processes)
    search = types.SimpleNamespace(skipping="auto")
    config = types.SimpleNamespace(seeds=seeds, lanes="auto", search=search)
    config.lanes = training.lanes_of(config)
    assert (config.lanes, training.skipping_of(config)) == (lanes, skipping)
    if (processes, seeds) == (2, 8):
        config.lanes = "together"
        with pytest.raises(InputError, match=r"lanes is 'together', .* 2 processes"):
            training.lanes_of(config)
    search.skipping = "branches"
    with pytest.raises(InputError, match=r"search\.skipping .* 'branches'"):
        training.skipping_of(config)
