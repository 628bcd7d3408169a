"""What relaxations share: logits, the scale of a node, sigmoid gates.

Node n in an active group computes x_n = Σ_l Σ_o w · o(x_{n-l}), w = g_{n,l,o} / Z_n; a
node outside it takes its backbone edge, by default with constant weight. What g is, is
the method's: g(β)·g(α) with independent sigmoid gates in the paper (`sigmoid_logs`).
With `relaxation.backbone` "gates" a node outside the group weighs that edge's operators
by their gates too, without gradient: one whose g(α) closes then fades in every step.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from ml_collections import ConfigDict

from ifnas_jax.architecture.masks import Masks
from ifnas_jax.methods import sampling
from ifnas_jax.methods.interface import Arch
from ifnas_jax.methods.schedule import SearchSchedule
from ifnas_jax.spaces.graph import Space


def init(
    rng: jax.Array, space: Space, scale: float, names: Sequence[str] = ("beta", "alpha")
) -> Arch:
    """Logits from scale·N(0, 1), so that every gate starts near its middle.

    Args:
      rng: a key.
      space: the space.
      scale: standard deviation.
      names: "beta", a logit per edge, and "alpha", one per (edge, operator).
    """
    tails = {"beta": (), "alpha": (len(space.operators),)}
    like = {
        name: tuple(
            np.zeros(one.valid().shape + tails[name], np.float32)
            for one in space.stages
        )
        for name in names
    }
    # One draw for all: a program that draws each by itself takes longer to compile.
    zeros, split = ravel_pytree(like)
    return split(scale * jax.random.normal(rng, zeros.shape))


def stage_weights(
    logs: jax.Array,
    active: jax.Array,
    gated: jax.Array,
    num_inputs: np.ndarray,
    node_scale: str,
    backbone: str = "constant",
) -> jax.Array:
    """What multiplies each operator's output in one stage.

    With `node_scale` "unit", Z_n = Σ_l mean_o g_{l,o} without gradient: the total
    weight of a node's inputs is 1 at every moment, gates do not compete through Z, and
    a node with one pair left is exactly the derived network's. With "official", Z_n is
    half the unpruned number of inputs, as in the authors' code.

    Args:
      logs: ln g, [N, L, O].
      active: bool [N, L, O].
      gated: bool [N].
      num_inputs: unpruned edges of each node, [N].
      node_scale: "unit" or "official".
      backbone: what multiplies the operators of nodes that are not gated, which have
        one edge: "constant", 1 with "unit" and 2 / inputs with "official"; "gates",
        that times g over the edge's mean g, without gradient.

    Returns:
      [N, L, O], zero at inactive pairs.
    """
    # In units of the node's largest: nothing holds up the gates of a last edge, and
    # their product must not underflow.
    largest = jnp.where(active, logs, -jnp.inf).max(axis=(1, 2), keepdims=True)
    largest = jax.lax.stop_gradient(jnp.where(largest > -jnp.inf, largest, 0.0))
    # Outside `active` the difference may be large; its exponential must be finite.
    gates = jnp.where(active, jnp.exp(jnp.where(active, logs - largest, 0.0)), 0.0)
    per_edge = gates.sum(axis=2) / jnp.maximum(active.sum(axis=2), 1)
    total = jax.lax.stop_gradient(per_edge.sum(axis=1))
    # A deleted node has no input; its zero weights must not become NaN.
    shares = gates / jnp.where(total > 0, total, 1.0)[:, None, None]
    constant = jnp.ones((len(logs), 1, 1), logs.dtype)
    gated_weights = shares
    if node_scale == "official":
        scale = jnp.asarray(num_inputs / 2, logs.dtype)[:, None, None]
        constant = 1 / scale
        gated_weights = jnp.where(active, jnp.exp(logs), 0.0) / scale
    rest = constant
    if backbone == "gates":
        rest = constant * jax.lax.stop_gradient(shares)
    chosen = jnp.where(gated[:, None, None], gated_weights, rest)
    return jnp.where(active, chosen, 0.0)


def weights(
    logs: Sequence[jax.Array],
    masks: Masks,
    space: Space,
    node_scale: str,
    backbone: str = "constant",
) -> list[jax.Array]:
    """`stage_weights` of every stage, from ln g of every stage."""
    return [
        stage_weights(
            own,
            stage.active,
            stage.gated,
            graph.valid().sum(axis=1),
            node_scale,
            backbone,
        )
        for own, stage, graph in zip(logs, masks, space.stages, strict=True)
    ]


def sigmoid_logs(arch: Arch) -> list[jax.Array]:
    """Ln g of independent sigmoid gates: g(β)·g(α), or g(α) where there is no β."""
    logs = [jax.nn.log_sigmoid(alpha) for alpha in arch["alpha"]]
    if "beta" not in arch:
        return logs
    return [
        jax.nn.log_sigmoid(beta)[:, :, None] + own
        for beta, own in zip(arch["beta"], logs, strict=True)
    ]


def sigmoid_weights(config: ConfigDict, space: Space) -> Callable:
    """`weights` of independent sigmoid gates, as a `Method` has it: (arch, masks)."""
    own = config.relaxation.node_scale, config.relaxation.backbone
    return lambda arch, masks: weights(sigmoid_logs(arch), masks, space, *own)


def softmax_logs(logits: jax.Array, active: jax.Array) -> jax.Array:
    """Ln softmax along the last axis, over the entries that are active."""
    # A finite stand-in: where nothing is active nothing may become NaN.
    return jax.nn.log_softmax(jnp.where(active, logits, -1e9), axis=-1)


def one_logit_an_operator(config: ConfigDict, space: Space) -> dict[str, Callable]:
    """What unsampled methods without β share: `masks`, `init` and `moves`."""
    return {
        "masks": sampling.unsampled(config, space),
        "init": functools.partial(
            init, space=space, scale=config.relaxation.init_scale, names=("alpha",)
        ),
        "moves": moves_after_weights,
    }


def moves_after_weights(now: Masks, step, schedule: SearchSchedule) -> dict[str, tuple]:
    """All surviving operators' logits, once the phase of the weights is over."""
    on = step >= schedule.beta
    return {"alpha": tuple(s.active & s.learned[:, None, None] & on for s in now)}


def sigmoid(x) -> np.ndarray:
    """On the host, in float64."""
    return np.exp(-np.logaddexp(0, -np.asarray(x, np.float64)))


def softmax(logits, on: np.ndarray) -> np.ndarray:
    """On the host, in float64: along the last axis, over the entries that are on."""
    logits = np.where(on, np.asarray(logits, np.float64), -np.inf)
    largest = logits.max(axis=-1, keepdims=True)
    exp = np.exp(logits - np.where(largest > -np.inf, largest, 0.0))
    return exp / np.maximum(exp.sum(axis=-1, keepdims=True), 1e-300)
