"""The derived network, and its cost against what JAX itself builds and counts."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import named_params, random_architecture, shapes

from ifnas_jax.architecture import cost, from_kept
from ifnas_jax.nn.network import Network
from ifnas_jax.nn.supernet import Supernet
from ifnas_jax.operators.own import madds
from ifnas_jax.spaces import darts, goldnas, lchain
from ifnas_jax.training import jit_once

OWN = ("sep_conv_3x3", "my_operators:sep_conv_5x5")


def count_params(tree):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


MACROS = (
    cost.Macro(64, 1000, 224, 3, "imagenet"),
    cost.Macro(6, 7, 28, 1, "small"),
    cost.Macro(10, 3, 96, 2, "imagenet"),
)


@pytest.mark.parametrize("seed", range(6))
def test_cost_is_what_jax_builds_and_counts(seed):
    macro = MACROS[seed % 3]
    assert_cost_is_built(random_architecture(seed, macro))


def assert_cost_is_built(architecture):
    variables, images = shapes(Network(architecture))
    assert architecture.cost().params == count_params(variables["params"])
    apply = lambda v, x: Network(architecture).apply(v, x, train=False)  # noqa: E731
    jaxpr = jax.make_jaxpr(apply)(variables, images)
    assert architecture.cost().madds == madds(jaxpr.jaxpr)


@pytest.mark.parametrize(
    ("space", "cells", "macro"),
    [
        (darts(), 3, (6, 7, 28, 1, "small")),
        (darts(3, 3), 6, (4, 3, 32, 3, "imagenet")),
        (darts(), 8, (48, 1000, 224, 3, "imagenet")),
        (goldnas(4), 4, (4, 7, 32, 3, "small")),
        (goldnas(6, 3, 2), 6, (8, 5, 64, 1, "imagenet")),
        (darts(3, 3, OWN), 3, (4, 3, 32, 1, "small")),
    ],
)
@pytest.mark.usefixtures("own_operators")
def test_cost_of_cells_is_what_jax_builds_and_counts(space, cells, macro):
    macro = cost.Macro(*macro, cells=cells)
    assert_cost_is_built(random_architecture(cells, macro, space))


def test_the_plain_chain_of_the_paper():
    space = lchain(1, operators=("sep_conv_3x3",))
    chain = from_kept(space, space.full(), MACROS[0])
    assert chain.cost() == (524_296_960, 4_747_624)
    variables, _ = shapes(Network(chain))
    assert count_params(variables["params"]) == 4_747_624


@pytest.mark.parametrize("cells", [0, 3, 5])
def test_auxiliary_head_is_not_counted_and_only_trains(cells):
    macro = dataclasses.replace(MACROS[1], cells=cells)
    architecture = random_architecture(0, macro, darts(2, 3) if cells else None)
    variables, images = shapes(Network(architecture, auxiliary=True))
    head = count_params(variables["params"]["auxiliary"])
    total = count_params(variables["params"])
    assert head > 0
    assert total - head == architecture.cost().params
    network = Network(architecture, auxiliary=True)
    logits, auxiliary = jax.eval_shape(
        lambda v, x: network.apply(v, x, train=False), variables, images
    )
    assert logits.shape == (1, 7)
    assert auxiliary is None
    (_, auxiliary), _ = jax.eval_shape(
        lambda v, x: network.apply(v, x, train=True, mutable=["batch_stats"]),
        *(variables, images),
    )
    assert auxiliary.shape == (1, 7)


@pytest.mark.parametrize(
    ("space", "cells"),
    [
        (lchain(3, (3, 4, 2)), 0),
        (darts(2, 3), 3),
        (goldnas(3, 2, 2), 3),
        (darts(2, 3, OWN), 3),
    ],
    ids=["lchain", "darts", "goldnas", "own"],
)
@pytest.mark.usefixtures("own_operators")
def test_a_supernet_with_one_path_is_the_derived_network(space, cells, random_params):
    """With weights of 1 the two compute the same from the same parameters."""
    macro = dataclasses.replace(MACROS[1], cells=cells)
    architecture = random_architecture(1, macro, space)
    net = Supernet(space, macro)
    params = random_params(net)
    kept = [stage.kept(space.operators) for stage in architecture.stages]
    named = named_params(net, params, architecture)
    images = jax.random.normal(jax.random.key(1), (4, 28, 28, 1))
    active = [jnp.array(k) for k in kept]
    weights = [k.astype(jnp.float32) for k in active]
    ours = jit_once(net.apply)(params, weights, active, images)
    (theirs, _), _ = jit_once(
        lambda p, x: Network(architecture).apply(
            {"params": p}, x, train=True, mutable=["batch_stats"]
        )
    )(named, images)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
