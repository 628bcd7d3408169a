"""The relaxation of the paper: independent sigmoid gates on edges and operators.

Node n in an active group computes x_n = Σ_l Σ_o w · o(x_{n-l}) with
w = g(β_{n,l}) · g(α_{n,l,o}) / Z_n and g = sigmoid; a node outside it takes its
backbone edge with constant weight.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ifnas_jax.masks import Masks
from ifnas_jax.methods.interface import Arch, Gates
from ifnas_jax.regularizer import stage_penalty
from ifnas_jax.spaces.graph import Space


def init(rng: jax.Array, space: Space, scale: float) -> Arch:
    """Logits from scale·N(0, 1), so that every gate starts near 0.5."""
    keys = jax.random.split(rng, (len(space.stages), 2))
    shapes = [stage.valid().shape for stage in space.stages]
    operators = len(space.operators)
    return {
        "beta": tuple(
            scale * jax.random.normal(key[0], shape)
            for key, shape in zip(keys, shapes, strict=True)
        ),
        "alpha": tuple(
            scale * jax.random.normal(key[1], (*shape, operators))
            for key, shape in zip(keys, shapes, strict=True)
        ),
    }


def stage_weights(
    beta: jax.Array,
    alpha: jax.Array,
    active: jax.Array,
    gated: jax.Array,
    node_scale: str,
) -> jax.Array:
    """What multiplies each operator's output in one stage.

    With `node_scale` "unit", Z_n = Σ_l g(β_l)·mean_o g(α_{l,o}) without gradient: the
    total weight of a node's inputs is 1 at every moment, gates do not compete through
    Z, and a node with one pair left is exactly the derived network's. With
    "official", Z_n is half the unpruned number of inputs, as in the authors' code.

    Args:
      beta: logits of the edges, [N, L].
      alpha: logits of the operators, [N, L, O].
      active: bool [N, L, O].
      gated: bool [N].
      node_scale: "unit" or "official".

    Returns:
      [N, L, O], zero at inactive pairs.
    """
    num_nodes, num_precursors, _ = active.shape
    logs = jax.nn.log_sigmoid(beta)[:, :, None] + jax.nn.log_sigmoid(alpha)
    if node_scale == "official":
        inputs = np.minimum(np.arange(1, num_nodes + 1), num_precursors)
        scale = jnp.asarray(inputs / 2, logs.dtype)
        constant = 1 / scale
        gates = jnp.where(active, jnp.exp(logs), 0.0)
    else:
        # In units of the node's largest: nothing holds up the gates of a last edge,
        # and their product must not underflow.
        largest = jnp.where(active, logs, -jnp.inf).max(axis=(1, 2), keepdims=True)
        largest = jax.lax.stop_gradient(jnp.where(largest > -jnp.inf, largest, 0.0))
        # Outside `active` the difference may be large; its exponential must be finite.
        gates = jnp.where(active, jnp.exp(jnp.where(active, logs - largest, 0.0)), 0.0)
        per_edge = gates.sum(axis=2) / jnp.maximum(active.sum(axis=2), 1)
        total = jax.lax.stop_gradient(per_edge.sum(axis=1))
        # A deleted node has no input; its zero weights must not become NaN.
        scale = jnp.where(total > 0, total, 1.0)
        constant = jnp.ones_like(scale)
    weights = jnp.where(
        gated[:, None, None], gates / scale[:, None, None], constant[:, None, None]
    )
    return jnp.where(active, weights, 0.0)


def weights(arch: Arch, masks: Masks, node_scale: str) -> list[jax.Array]:
    """`stage_weights` of every stage."""
    return [
        stage_weights(beta, alpha, stage.active, stage.gated, node_scale)
        for beta, alpha, stage in zip(arch["beta"], arch["alpha"], masks, strict=True)
    ]


def penalty(arch: Arch, masks: Masks) -> tuple[jax.Array, jax.Array]:
    """The two sums of Eq. (3), over all stages."""
    edges, operators = zip(
        *(
            stage_penalty(
                jax.nn.sigmoid(beta),
                jax.nn.sigmoid(alpha),
                stage.active,
                stage.learned,
            )
            for beta, alpha, stage in zip(
                arch["beta"], arch["alpha"], masks, strict=True
            )
        ),
        strict=True,
    )
    return sum(edges), sum(operators)


def gates(arch: Arch) -> Gates:
    """The gates of host copies of the logits, in float64."""

    def sigmoid(x):
        return 1 / (1 + np.exp(-np.asarray(x, np.float64)))

    return Gates(
        tuple(sigmoid(beta) for beta in arch["beta"]),
        tuple(sigmoid(alpha) for alpha in arch["alpha"]),
    )
