"""Weights, penalty and gates of every method against plain NumPy, node by node."""

import jax
import numpy as np
import penalties
import pytest

from ifnas_jax import config as config_lib
from ifnas_jax.architecture import delete_unread
from ifnas_jax.methods import METHODS, make_method

SPACES = {
    "lchain": {"num_precursors": 3, "nodes": (4, 3, 2)},
    "darts": {"num_precursors": 4, "nodes": (3,)},
}
TRAINED = [name for name in METHODS if name != "random"]
MU = np.array([0.3, 0.7], np.float32)


def make(name, space="lchain", node_scale="unit", backbone="constant"):
    config = config_lib.default("mnist5k")
    config.method = name
    config.space.update(name=space, **SPACES[space])
    if space == "darts":
        config.macro.update(cells=3, search_cells=3)
    config.relaxation.update(node_scale=node_scale, backbone=backbone)
    config.target_madds = 3_000_000
    config_lib.resolve(config, None)
    graph = config_lib.space(config)
    return make_method(config, graph, config_lib.macro(config)), graph


def random_logits(method, seed):
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(method.init, jax.random.key(0))
    return jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)


def random_kept(space, seed):
    """Some pairs pruned; every node that is read keeps one."""
    rng, kept = np.random.default_rng(seed), []
    for full in space.full():
        stage = full & (rng.random(full.shape) < 0.4)
        for row in range(len(stage)):
            if not stage[row].any():
                stage[row, 0, rng.integers(2)] = True
        kept.append(stage)
    return delete_unread(space.stages, kept)


def one_step(method, kept, step):
    return jax.tree.map(lambda mask: mask[step], method.masks(kept, 0))


def sigmoid(x):
    return 1 / (1 + np.exp(-np.float64(x)))


def edges_of(stage, row):
    return [c for c in range(stage.shape[1]) if stage[row, c].any()]


def operators_of(stage, row, column):
    return np.flatnonzero(stage[row, column])


def slow_gate(name, arch, s, on, row, column, op):
    """g of one pair: FACTS, sections 3 and 6."""
    if name == "randomws":
        return 1.0
    alpha = arch["alpha"][s][row].astype(np.float64)
    if name in ("goldnas", "fairdarts"):
        return sigmoid(alpha[column, op])
    if name in ("ifnas", "dnas"):
        return sigmoid(arch["beta"][s][row, column]) * sigmoid(alpha[column, op])
    ops = operators_of(on, row, column)
    gate = np.exp(alpha[column, op]) / sum(np.exp(alpha[column, o]) for o in ops)
    if name == "pcdarts":
        beta = arch["beta"][s][row].astype(np.float64)
        gate *= np.exp(beta[column])
        gate /= sum(np.exp(beta[c]) for c in edges_of(on, row))
    return gate


def slow_weights(name, arch, masks, space, node_scale, backbone):
    result = []
    for s, (graph, mask) in enumerate(zip(space.stages, masks, strict=True)):
        on, weights = mask.active, np.zeros(mask.active.shape)
        for row in range(graph.num_nodes):
            unit, gates = 0.0, {}
            for column in edges_of(on, row):
                ops = operators_of(on, row, column)
                for op in ops:
                    gate = slow_gate(name, arch, s, on, row, column, op)
                    gates[column, op] = gate
                    unit += gate / len(ops)
            inputs = len(graph.precursors(row + 1))
            scale = unit if node_scale == "unit" else inputs / 2
            constant = 1 if node_scale == "unit" else 2 / inputs
            for (column, op), gate in gates.items():
                weight = gate / scale if mask.gated[row] else constant
                if not mask.gated[row] and backbone == "gates":
                    weight *= gate / unit
                weights[row, column, op] = weight
        result.append(weights)
    return result


def slow_gates(name, arch, kept):
    """Of each surviving pair: (β of its edge, its α, its strength)."""
    result = {}
    for s, on in enumerate(kept):
        for pair in np.argwhere(on).tolist():
            row, column, op = pair

            def gate(column, op, s=s, on=on, row=row):
                return slow_gate(name, arch, s, on, row, column, op)

            ops = operators_of(on, row, column)
            if name in ("ifnas", "dnas"):
                beta = sigmoid(arch["beta"][s][row, column])
                alpha = sigmoid(arch["alpha"][s][row, column, op])
                found = beta, alpha, beta * alpha
            elif name == "pcdarts":
                beta = sum(gate(column, o) for o in ops)
                found = beta, gate(column, op) / beta, gate(column, op)
            elif name == "goldnas":
                node = sum(
                    gate(c, o)
                    for c in edges_of(on, row)
                    for o in operators_of(on, row, c)
                )
                share = gate(column, op) / node
                found = sum(gate(column, o) for o in ops) / node, share, share
            else:
                best = max(gate(column, o) for o in ops)
                found = best, gate(column, op), gate(column, op)
            result[(s, *pair)] = found
    return result


def definition_of(name, arch, masks):
    """Of the penalty."""
    arch = jax.tree.map(np.float64, arch)
    return penalties.penalty(name, arch, masks, MU)


CASES = [(name, space) for name in TRAINED for space in SPACES]


RELAXED = [
    *((*case, scale, "constant") for case in CASES for scale in ("unit", "official")),
    # Of the others no node is outside its group.
    *(("ifnas", "lchain", scale, "gates") for scale in ("unit", "official")),
]


@pytest.mark.parametrize(("name", "space", "node_scale", "backbone"), RELAXED)
def test_weights_and_penalty_are_those_of_the_definition(
    name, space, node_scale, backbone
):
    method, graph = make(name, space, node_scale, backbone)
    weights, penalty = jax.jit(method.weights), jax.jit(method.penalty)
    for seed in range(3):
        arch, kept = random_logits(method, seed), random_kept(graph, seed)
        for step in (1, 2):
            masks = one_step(method, kept, step)
            expected = slow_weights(name, arch, masks, graph, node_scale, backbone)
            for ours, theirs in zip(weights(arch, masks), expected, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)
            found = penalty(arch, masks, MU)
            expected = definition_of(name, arch, masks)
            np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize(("name", "space"), CASES)
def test_gates_are_those_of_the_definition(name, space):
    method, graph = make(name, space)
    for seed in range(3):
        arch, kept = random_logits(method, seed), random_kept(graph, seed)
        gates = method.gates(arch, kept)
        for (s, row, column, op), expected in slow_gates(name, arch, kept).items():
            pair = row, column, op
            found = gates.beta[s][row, column], gates.alpha[s][pair]
            np.testing.assert_allclose((*found, gates.strength[s][pair]), expected)
        for leaf in jax.tree.leaves(tuple(gates)):
            assert np.isfinite(leaf).all()


def test_the_references_tell_the_methods_apart():
    """Otherwise a method could be another one and pass."""
    alike = {"dnas": "ifnas"}
    arch, on = random_logits(make("ifnas")[0], 0), make("ifnas")[1].full()
    gates = {
        name: slow_gate(name, arch, 0, on[0], 2, 1, 0)
        for name in TRAINED
        if name not in alike
    }
    # FairDARTS differs from GOLD-NAS in penalty and update.
    assert len({round(value, 6) for value in gates.values()}) == len(gates) - 1
    masks = one_step(make("dnas")[0], on, 1)
    found = {name: definition_of(name, arch, masks) for name in gates}
    assert found["fairdarts"] < 0 < found["goldnas"] != found["ifnas"]
    assert {found[name] for name in ("darts", "pcdarts", "randomws")} == {0}


@pytest.mark.parametrize("name", ["goldnas", "darts", "pcdarts", "fairdarts"])
def test_pruned_pairs_and_extreme_logits_spoil_no_gradient(name):
    method, graph = make(name)
    kept = random_kept(graph, 0)
    assert not all(stage.any(axis=(1, 2)).all() for stage in kept)  # a deleted node
    masks = one_step(method, kept, 1)
    wanted = [np.random.default_rng(0).normal(size=stage.shape) for stage in kept]

    @jax.jit
    def gradient(arch):
        def loss(arch):
            weights = method.weights(arch, masks)
            total = sum((w * x).sum() for w, x in zip(weights, wanted, strict=True))
            return total + method.penalty(arch, masks, MU)

        return jax.grad(loss)(arch)

    for scale in (1, 200):
        arch = jax.tree.map(lambda x, k=scale: k * x, random_logits(method, 1))
        found = gradient(arch)
        for d_alpha, stage in zip(found["alpha"], kept, strict=True):
            assert np.isfinite(d_alpha).all()
            assert not np.any(np.asarray(d_alpha)[~stage])
        assert scale > 1 or any(np.any(leaf) for leaf in jax.tree.leaves(found))
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
