"""Sums over the active pairs of a stage, node by node: for GPUs, and for lanes.

There the launch of a kernel costs more than its arithmetic, and a loop whose length is
data waits for the host at every turn. So all inputs of a node are one batched operator,
whose inactive pairs have weight 0, and the loop over the nodes has a length that the
program knows. A node with one active edge, as those of the backbone, takes a short way,
a single operator; which way that is, is the one thing that data decides.

The results are those of `pairs.py`, up to rounding, and so is the gradient's form: each
node's output is kept once, and what happens inside a node is computed again on the way
back.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from ifnas_jax.nn.pairs import Operator, add_pairs


class Node(NamedTuple):
    """What a node reads.

    Attributes:
      params: for each operator, a tree of arrays [L, ...].
      weights: float [L, O].
      active: bool [L, O].
    """

    params: tuple[Any, ...]
    weights: jax.Array
    active: jax.Array


@custom_vmap
def _any_lane(flag: jax.Array) -> jax.Array:
    """The flag; under `vmap`, whether that of any lane is on.

    So that a choice stays one: JAX would compute both sides of it for every lane.
    """
    return flag


@_any_lane.def_vmap
def _any_lane_rule(size, in_batched, flag):
    del size
    return (flag.any(axis=0) if in_batched[0] else flag), False


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def add_nodes(
    operators: tuple[Operator, ...],
    first: int | None,
    params: tuple[Any, ...],
    weights: jax.Array,
    active: jax.Array,
    sources: jax.Array | None,
    outputs: jax.Array,
) -> jax.Array:
    """What `pairs.add_pairs` computes, with the same arguments."""
    return _forward(operators, first, params, weights, active, sources, outputs)[0]


def _forward(operators, first, params, weights, active, sources, outputs):
    place = _Place(first, active.shape, outputs.shape[0], sources)

    def node(buffer, inputs):
        row, own = inputs
        block = place.read(buffer, sources, row)
        total = _at(buffer, place.target(row)) + _sum(operators, own, block)
        return lax.dynamic_update_index_in_dim(buffer, total, place.target(row), 0), ()

    nodes = place.ordered(Node(params, weights, active))
    buffer, _ = lax.scan(node, place.padded(outputs), (place.rows, nodes))
    # What is padded comes first.
    outputs = buffer[place.pad :]
    return outputs, (params, weights, active, sources, outputs)


def _backward(operators, first, residuals, grad):
    params, weights, active, sources, outputs = residuals
    place = _Place(first, active.shape, outputs.shape[0], sources)
    buffer = place.padded(outputs)

    def node(carry, inputs):
        d_buffer, d_sources = carry
        row, own = inputs
        # Complete: nodes that read this one come after it.
        d_total = _at(d_buffer, place.target(row))
        block = place.read(buffer, sources, row)
        d_params, d_weights, d_block = _pull(operators, own, block, d_total)
        if sources is None:
            before = place.read(d_buffer, None, row)
            low = place.low(row)
            d_buffer = lax.dynamic_update_slice_in_dim(
                d_buffer, before + d_block, low, 0
            )
        else:
            d_sources += d_block
        return (d_buffer, d_sources), (d_params, d_weights)

    nodes = place.ordered(Node(params, weights, active))
    carry = place.padded(grad), jax.tree.map(jnp.zeros_like, sources)
    (d_buffer, d_sources), gradients = lax.scan(
        node, carry, (place.rows, nodes), reverse=True
    )
    d_params, d_weights = place.ordered(gradients)
    d_weights = d_weights.astype(weights.dtype)
    return d_params, d_weights, None, d_sources, d_buffer[place.pad :]


add_nodes.defvjp(_forward, _backward)


class _Place:
    """Where the sources of a node are in the buffer, and the node itself.

    A node's precursors lie beside each other, the farthest first. So that those of the
    first nodes do too, zeros are put in front.
    """

    def __init__(self, first, shape, num_outputs: int, sources):
        self.num_rows, self.num_columns, _ = shape
        self._chained = sources is None
        self._before = num_outputs - self.num_rows
        # Of the first node, the farthest precursor would be at `lowest` of `outputs`.
        lowest = -first - (self.num_columns - 1) if self._chained else 0
        self.pad = max(0, -lowest)
        self._shift = self.pad + lowest
        self.rows = jnp.arange(self.num_rows)

    def padded(self, outputs: jax.Array) -> jax.Array:
        return jnp.pad(outputs, [(self.pad, 0), *[(0, 0)] * (outputs.ndim - 1)])

    def target(self, row: jax.Array) -> jax.Array:
        """Of a node, in the buffer."""
        return self.pad + self._before + row

    def low(self, row: jax.Array) -> jax.Array:
        """Of a node's farthest precursor, in the buffer."""
        return self._shift + row

    def read(self, buffer: jax.Array, sources, row: jax.Array) -> jax.Array:
        """The sources of a node, [L, batch, ...], in the order of `ordered`."""
        if not self._chained:
            return sources
        return lax.dynamic_slice_in_dim(buffer, self.low(row), self.num_columns, 0)

    def ordered(self, tree: Any) -> Any:
        """Arrays [N, L, ...] in the order of the sources; again, and as they were."""
        if not self._chained:
            return tree
        return jax.tree.map(lambda x: jnp.flip(x, axis=1), tree)


def _at(array: jax.Array, index: jax.Array) -> jax.Array:
    return lax.dynamic_index_in_dim(array, index, keepdims=False)


def _alone(own: Node) -> tuple[jax.Array, Node]:
    """The nearest active edge of a node, its place and what is of it: arrays [1, ...].

    With the shapes of a node that has one edge, so that both ways share their code.
    """
    edge = jnp.argmax(own.active.any(axis=1))
    return edge, jax.tree.map(lambda x: lax.dynamic_slice_in_dim(x, edge, 1, 0), own)


def _choose(own: Node, long: Callable, short: Callable) -> Any:
    """The short way where at most one edge is active."""
    many = own.active.any(axis=1).sum() > 1
    return lax.cond(_any_lane(many), long, short)


def _sum(operators, own: Node, block: jax.Array) -> jax.Array:
    """Σ_l Σ_o weights[l, o] · o(block[l]) over the active pairs, [batch, ...]."""

    def total(own: Node, block: jax.Array) -> jax.Array:
        summed = 0.0
        for o, operator in enumerate(operators):
            # By way of its gradient, as in `pairs.py`.
            y, _ = jax.vjp(jax.vmap(operator.apply), own.params[o], block)
            summed += _weighted(own, o, y).sum(axis=0)
        return summed.astype(block.dtype)

    def short():
        edge, one = _alone(own)
        return total(one, lax.dynamic_slice_in_dim(block, edge, 1, 0))

    return _choose(own, lambda: total(own, block), short)


def _weighted(own: Node, o: int, x: jax.Array) -> jax.Array:
    """[L, ...] times the weights of an operator, in float32; 0 where it is inactive."""
    shape = (-1, *[1] * (x.ndim - 1))
    on, weights = own.active[:, o].reshape(shape), own.weights[:, o].reshape(shape)
    # Not a product with 0: what nobody asked for need not be finite.
    return jnp.where(on, weights.astype(jnp.float32) * x.astype(jnp.float32), 0.0)


def _pull(operators, own: Node, block: jax.Array, d_total: jax.Array):
    """The gradients of `_sum`: of the params, the weights and the block."""

    def pulled(own: Node, block: jax.Array):
        d_params, d_weights, d_block = [], [], 0.0
        for o, operator in enumerate(operators):
            y, pull = jax.vjp(jax.vmap(operator.apply), own.params[o], block)
            d_y = jnp.broadcast_to(d_total, y.shape)
            # The weights multiply what comes out, which saves a map.
            d_own, d_source = pull(d_y)
            inner = jax.vmap(operator.inner)(own.params[o], d_own, y, d_y)
            d_weights.append(jnp.where(own.active[:, o], inner, 0.0))
            d_params.append(
                jax.tree.map(lambda x, o=o: _weighted(own, o, x).astype(x.dtype), d_own)
            )
            d_block += _weighted(own, o, d_source)
        weights = jnp.stack(d_weights, axis=-1)
        return tuple(d_params), weights, d_block.astype(block.dtype)

    def short():
        edge, one = _alone(own)
        small = pulled(one, lax.dynamic_slice_in_dim(block, edge, 1, 0))
        like = (own.params, own.weights.astype(jnp.float32), block)
        return jax.tree.map(
            lambda x, whole: lax.dynamic_update_slice_in_dim(
                jnp.zeros(whole.shape, x.dtype), x, edge, 0
            ),
            small,
            like,
        )

    return _choose(own, lambda: pulled(own, block), short)


# How inactive pairs are skipped, as `search.skipping` names it.
SKIPPING = {"loops": add_pairs, "nodes": add_nodes}
