import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifnas_jax.architecture import masks
from ifnas_jax.methods import ifnas, regularizer, relaxation
from ifnas_jax.spaces.lchain import lchain

NODES, PRECURSORS, OPERATORS = 6, 3, 2

NUM_INPUTS = np.minimum(np.arange(1, NODES + 1), PRECURSORS)


@functools.partial(jax.jit, static_argnums=(4, 5))
def stage_weights(beta, alpha, active, gated, node_scale, backbone="constant"):
    (logs,) = relaxation.sigmoid_logs({"beta": (beta,), "alpha": (alpha,)})
    num_inputs = NUM_INPUTS[: len(beta)]
    return relaxation.stage_weights(
        logs, active, gated, num_inputs, node_scale, backbone
    )


init = jax.jit(relaxation.init, static_argnums=1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def random_stage(seed):
    """Logits, active pairs and gated nodes; node 4 is deleted."""
    rng = np.random.default_rng(seed)
    beta = rng.normal(size=(NODES, PRECURSORS)).astype(np.float32)
    alpha = rng.normal(size=(NODES, PRECURSORS, OPERATORS)).astype(np.float32)
    gated = rng.random(NODES) < 0.6
    gated[3] = True
    active = rng.random(alpha.shape) < 0.6
    for row in range(NODES):
        active[row, row + 1 :] = False
        if not active[row].any():
            active[row, 0, 1] = True
        if not gated[row]:  # its backbone only
            nearest = np.flatnonzero(active[row].any(axis=1))[0]
            active[row, np.arange(PRECURSORS) != nearest] = False
    active[3] = False
    return beta, alpha, active, gated


def slow_weights(beta, alpha, active, gated, node_scale):
    """FACTS, section 3, node by node."""
    result = np.zeros(active.shape)
    for row in range(NODES):
        inputs = min(row + 1, PRECURSORS)
        edges = [c for c in range(PRECURSORS) if active[row, c].any()]
        unit = sum(
            sigmoid(beta[row, c]) * sigmoid(alpha[row, c][active[row, c]]).mean()
            for c in edges
        )
        for column in edges:
            for op in np.flatnonzero(active[row, column]):
                gate = sigmoid(beta[row, column]) * sigmoid(alpha[row, column, op])
                if node_scale == "unit":
                    weight = gate / unit if gated[row] else 1
                else:
                    weight = gate / (inputs / 2) if gated[row] else 2 / inputs
                result[row, column, op] = weight
    return result


@pytest.mark.parametrize("node_scale", ["unit", "official"])
@pytest.mark.parametrize("seed", range(4))
def test_weights_are_those_of_the_definition(seed, node_scale):
    arguments = random_stage(seed)
    found = stage_weights(*arguments, node_scale)
    np.testing.assert_allclose(
        found, slow_weights(*arguments, node_scale), rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("node_scale", ["unit", "official"])
def test_a_backbone_by_its_gates_shares_the_constant_and_learns_nothing(node_scale):
    beta, alpha, active, gated = random_stage(1)
    assert not gated.all()
    found = stage_weights(beta, alpha, active, gated, node_scale, "gates")
    constant = stage_weights(beta, alpha, active, gated, node_scale, "constant")
    np.testing.assert_array_equal(found[gated], constant[gated])
    shares = stage_weights(beta, alpha, active, np.ones_like(gated), "unit")
    expected = (constant * shares)[~gated]
    np.testing.assert_allclose(found[~gated], expected, rtol=1e-6)
    jacobian = jax.jit(
        jax.jacobian(stage_weights, argnums=(0, 1)), static_argnums=(4, 5)
    )
    for own, theirs in zip(
        jacobian(beta, alpha, active, gated, node_scale, "gates"),
        jacobian(beta, alpha, active, gated, node_scale, "constant"),
        strict=True,
    ):
        np.testing.assert_array_equal(own, theirs)


def test_the_backbone_is_made_of_the_same_when_a_closed_operator_goes():
    """Its scale halves; with constant weights half of what it is made of goes."""
    beta, alpha = jnp.zeros((1, 1)), jnp.array([[[2.0, -5.0]]])
    both, one = jnp.ones((1, 1, 2), bool), jnp.array([[[True, False]]])
    outside = jnp.array([False])

    def change(backbone):
        before, after = (
            stage_weights(beta, alpha, active, outside, "unit", backbone)
            for active in (both, one)
        )
        return np.abs(before / before.sum() - after / after.sum()).sum()

    assert change("gates") < 0.02
    assert change("constant") == 1.0
    before = stage_weights(beta, alpha, both, outside, "unit", "gates")
    np.testing.assert_allclose(before[0, 0], [2, 0], atol=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_the_inputs_of_a_node_weigh_one_in_all(seed):
    beta, alpha, active, gated = random_stage(seed)
    found = stage_weights(beta, alpha, active, gated, "unit")
    per_edge = found.sum(axis=2) / np.maximum(active.sum(axis=2), 1)
    expected = active.any(axis=(1, 2)).astype(float)
    np.testing.assert_allclose(per_edge.sum(axis=1), expected, rtol=1e-5)


@pytest.mark.parametrize("node_scale", ["unit", "official"])
def test_gates_do_not_compete_through_the_normalisation(node_scale):
    beta, alpha, active, gated = random_stage(1)
    weights = stage_weights(beta, alpha, active, gated, node_scale)
    jacobian = jax.jit(jax.jacobian(stage_weights, argnums=(0, 1)), static_argnums=4)
    by_beta, by_alpha = jacobian(beta, alpha, active, gated, node_scale)
    moving = np.where(gated[:, None, None], weights, 0)
    expected = np.zeros_like(by_beta)
    for pair in np.argwhere(active):
        row, column, op = pair
        expected[row, column, op, row, column] = moving[tuple(pair)] * (
            1 - sigmoid(beta[row, column])
        )
    np.testing.assert_allclose(by_beta, expected, rtol=1e-5, atol=1e-7)
    expected = np.zeros_like(by_alpha)
    for pair in map(tuple, np.argwhere(active)):
        expected[pair + pair] = moving[pair] * (1 - sigmoid(alpha[pair]))
    np.testing.assert_allclose(by_alpha, expected, rtol=1e-5, atol=1e-7)
    assert np.count_nonzero(by_beta)


@pytest.mark.parametrize("logit", [3.0, -5.0, -60.0, -200.0])
def test_the_last_pair_of_a_node_weighs_exactly_one(logit):
    beta, alpha = jnp.full((1, 1), logit), jnp.full((1, 1, 2), logit)
    active = jnp.array([[[True, False]]])
    weights = stage_weights(beta, alpha, active, jnp.array([True]), "unit")
    assert weights.tolist() == [[[1.0, 0.0]]]


def test_two_operators_on_the_last_edge_keep_their_ratio_however_weak():
    beta, alpha = jnp.full((1, 1), -90.0), jnp.array([[[0.0, -20.0]]])
    active, gated = jnp.ones((1, 1, 2), bool), jnp.array([True])
    weights = stage_weights(beta, alpha, active, gated, "unit")
    gates = sigmoid(np.array([0.0, -20.0]))
    np.testing.assert_allclose(weights[0, 0], gates / gates.mean(), rtol=1e-5)


def test_initial_gates_are_near_one_half_and_follow_the_seed():
    space = lchain(PRECURSORS, (5, 4, 3))
    arch = init(jax.random.key(0), space, 1e-5)
    same = init(jax.random.key(0), space, 1e-5)
    other = init(jax.random.key(1), space, 1e-5)
    assert [x.shape for x in arch["beta"]] == [(5, 3), (4, 3), (3, 3)]
    assert [x.shape for x in arch["alpha"]] == [(5, 3, 2), (4, 3, 2), (3, 3, 2)]
    values = np.concatenate([x.ravel() for x in jax.tree.leaves(arch)])
    assert len(set(values.tolist())) == len(values)
    assert 0.5e-5 < values.std() < 2e-5
    assert jax.tree.all(jax.tree.map(np.array_equal, arch, same))
    assert not np.array_equal(arch["beta"][0], other["beta"][0])
    found = ifnas.sigmoid_gates(arch, space.full())
    for gates in jax.tree.leaves((found.beta, found.alpha)):
        np.testing.assert_allclose(gates, 0.5, atol=1e-4)
        assert gates.dtype == np.float64


def test_gates_on_the_host_are_sigmoids_in_float64():
    logits = (np.array([[-100.0, -2.0, 0.0, 100.0]], np.float32),)
    arch = {"beta": logits, "alpha": (logits[0][:, :, None],)}
    gates = ifnas.sigmoid_gates(arch, (np.ones((1, 4, 1), bool),))
    np.testing.assert_allclose(gates.beta[0], [[0, sigmoid(-2.0), 0.5, 1]], atol=1e-12)
    np.testing.assert_allclose(gates.strength[0][..., 0], gates.beta[0] ** 2)


def test_penalty_adds_the_stages_of_learning_nodes():
    space = lchain(PRECURSORS, (5, 4, 3))
    arch = init(jax.random.key(0), space, 1.0)
    step = masks.group(space, space.full(), ((3,), (), (1, 2)))
    stage_penalty, expected = jax.jit(regularizer.stage_penalty), np.zeros(2)
    for beta, alpha, stage in zip(arch["beta"], arch["alpha"], step, strict=True):
        gates = sigmoid(np.array(beta)), sigmoid(np.array(alpha))
        expected += stage_penalty(*gates, stage.active, stage.gated)
    penalty = jax.jit(ifnas.penalty)
    for mu in ((1.0, 0.0), (0.0, 1.0), (0.3, 0.7)):
        found = penalty(arch, step, np.float32(mu))
        np.testing.assert_allclose(found, expected @ mu, rtol=1e-6)
    frozen = masks.whole(space.full(), learned=False)
    assert penalty(arch, frozen, np.ones(2, np.float32)) == 0
