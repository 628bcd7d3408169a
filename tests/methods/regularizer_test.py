import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifnas_jax import config as config_lib
from ifnas_jax.methods import regularizer
from ifnas_jax.methods.regularizer import Strength
from ifnas_jax.methods.schedule import search_schedule

log_share = jax.jit(regularizer.log_share)


def test_gates_that_are_off_have_no_gradient_and_spoil_none():
    gates = jnp.array([[0.3, 0.6, 0.9], [0.2, 0.4, 0.0]])
    on = jnp.array([[True, True, False], [False, False, False]])
    value, gradient = jax.value_and_grad(lambda g: log_share(g, on).sum())(gates)
    # Of 0.3 and 0.6, whose mean is 0.45.
    assert value == pytest.approx(np.log(1 + 2 / 3) + np.log(1 + 4 / 3), rel=1e-5)
    assert np.isfinite(gradient).all()
    assert np.count_nonzero(gradient) == 2
    assert (gradient[0, :2] != 0).all()


@pytest.mark.parametrize("gate", [0.7, 0.013, 1e-25, 0.0])
def test_a_single_survivor_is_a_constant(gate):
    gates = jnp.array([0.4, gate, 0.9])
    on = jnp.array([False, True, False])
    value, gradient = jax.value_and_grad(log_share)(gates, on)
    assert value == pytest.approx(np.log(2), rel=1e-6)
    assert gradient.tolist() == [0, 0, 0]


def test_the_penalty_pushes_towards_one_winner():
    gates = jnp.array([0.6, 0.5, 0.4, 0.1])
    on = jnp.array([True, True, True, False])
    gradient = jax.grad(log_share)(gates, on)
    # Descending raises the largest share and lowers the smallest.
    assert gradient[0] < 0 < gradient[2]
    shares = jnp.array([[0.5, 0.5], [0.6, 0.4], [0.9, 0.1], [1.0, 1e-6]])
    values = log_share(shares, jnp.ones((4, 2), bool))
    assert (np.diff(values) < 0).all()
    # It sees shares only.
    np.testing.assert_allclose(log_share(shares / 3, jnp.ones((4, 2), bool)), values)


def test_adaptive_strength_over_a_scripted_search():
    strength = Strength(0.0, 1.0)
    seen = []
    for removed in (0, 3, 4, 0, 9, 0):
        strength = strength.adapt(removed, wanted=4, first_delta=1.0)
        seen.append(tuple(strength))
    assert seen == [(2, 2), (6, 4), (3, 1), (5, 2), (2.5, 1), (4.5, 2)]


def test_paced_strength_over_a_scripted_search():
    strength = Strength(0.0, 0.5)
    seen = []
    for kept_pace in (False, False, False, True, True, False):
        strength = strength.pace(kept_pace)
        seen.append(strength.mu)
    assert seen == [0.5, 1.0, 1.5, 0.75, 0.375, 0.875]
    assert strength.delta == 0.5


def make_schedule(config):
    # Loops of 20 steps, epochs of 10; pruning from step 100 on.
    with config.unlocked():
        config.sampling.period = 4
        config.search.update(
            weights_epochs=5.0, beta_epochs=5.0, alpha_epochs=0.0, max_epochs=100.0
        )
        config.search.batch_size = 10
    return search_schedule(config, num_examples=100, num_masks=5)


def test_mu_is_zero_until_regularisation_and_then_as_scheduled():
    config = config_lib.default("mnist5k")
    schedule = make_schedule(config)
    config.penalty.update(edges=2.0, operators=0.5)
    strength = Strength(0.3, 0.1)
    mu = lambda step: regularizer.mu(config, schedule, strength, step)  # noqa: E731
    assert mu(99).tolist() == [0, 0]
    np.testing.assert_allclose(mu(100), [0.6, 0.15], rtol=1e-6)
    config.penalty.schedule = "linear"
    # 24 epochs in: E/2400 and E/1800, times the factors.
    np.testing.assert_allclose(mu(340), [0.02, 24 / 3600], rtol=1e-6)


def test_paced_grows_mu_only_when_madds_fall_too_slowly():
    config = config_lib.default("mnist5k")
    schedule = make_schedule(config)
    config.target_madds = 10_000_000
    config.derive = "prune"
    config.penalty.update(prune_epochs=10.0)  # steps 100 to 200: 5 loops
    adapt = lambda step, before, after: regularizer.next_strength(  # noqa: E731
        config,
        schedule,
        Strength(1.0, 0.25),
        step,
        before=before,
        after=after,
        removed=1,
    )
    # At step 120 five loops are left, this one included: a fifth of the way is due.
    assert adapt(120, 15_000_000, 14_000_000).mu == 0.5
    assert adapt(120, 15_000_000, 14_000_001).mu == 1.25
    # Past the planned end all that is left is due at once.
    assert adapt(300, 12_000_000, 11_000_000).mu == 1.25
    assert adapt(300, 12_000_000, 10_000_000).mu == 0.5
