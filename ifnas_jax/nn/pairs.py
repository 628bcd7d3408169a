"""Sums over the active (edge, operator) pairs of a stage, as loops over them.

For each node in turn and each operator, one loop runs over the node's active pairs of
that operator. Which they are is data, and so is the loop's length: a group or a pruning
changes neither the program nor its shapes, an inactive pair costs nothing to run, and
the program has one copy of each operator, whatever N and L are. Edges that leave a
reduction cell's inputs have operators of another shape; they have loops of their own,
ahead of the others.

The gradient is written out for two reasons: a loop whose length is data has no
reverse mode of its own, and each node's output is kept once, however many edges read
it; what happens inside an edge is computed again on the way back, where the loops go
over the pairs that read a node, so that its gradient is summed before it is stored.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree

from ifnas_jax.nn.normalization import channel_sums


class Operator(NamedTuple):
    """A candidate of an edge.

    Attributes:
      apply: (its parameters, the source node's output) -> output.
      linear: (its parameters) -> the leaves in which the output is linear, without a
        rest that they don't multiply; None: there are none.
    """

    apply: Callable[[Any, jax.Array], jax.Array]
    linear: Callable[[Any], Any] | None = None

    def inner(self, params, grads, y, d_y) -> jax.Array:
        """⟨y, d_y⟩ in float32, the gradient of the gate that multiplies y.

        Where y = Σ θ ∂y/∂θ that is Σ θ · gradient of θ, which is at hand (Euler).
        """
        if self.linear is None:
            return channel_sums(y, d_y, lambda a, b: a * b)[0].sum()
        products = jax.tree.map(jnp.vdot, self.linear(params), self.linear(grads))
        return sum(jax.tree.leaves(products))


class Pairs(NamedTuple):
    """The active pairs of one operator, in the order in which a loop takes them.

    Attributes:
      order: int [N·L], flat indices into [N, L]; those of the active pairs first.
      starts: int [nodes + 1], where among them each node's pairs begin; the last is
        how many there are.
    """

    order: jax.Array
    starts: jax.Array


def active_pairs(active: jax.Array, nodes: np.ndarray, num_nodes: int) -> Pairs:
    """Lists the active pairs of one operator by a node of theirs.

    Args:
      active: bool [N, L].
      nodes: int [N, L], of each pair the node by which it is listed; where the pair is
        active, in [0, num_nodes).
      num_nodes: how many nodes there are.
    """
    keys = jnp.where(active, nodes, num_nodes).reshape(-1)
    starts = (keys[None] < np.arange(num_nodes + 1)[:, None]).sum(
        axis=1, dtype=jnp.int32
    )
    return Pairs(jnp.argsort(keys, stable=True).astype(jnp.int32), starts)


def _listed(active: jax.Array, nodes: np.ndarray, num_nodes: int) -> list[Pairs]:
    """`active_pairs` for each operator of [N, L, O]."""
    operators = range(active.shape[2])
    return [active_pairs(active[:, :, o], nodes, num_nodes) for o in operators]


def _pack(stacked: Any, size: int) -> tuple[jax.Array, Callable[[jax.Array], Any]]:
    """A tree of arrays [N, L, ...] as one of vectors, [N·L, length].

    A loop then takes one slice a pair instead of one a parameter.

    Args:
      stacked: the tree; it may be empty.
      size: N·L.

    Returns:
      The vectors, and what makes the operator's tree of one of them.
    """
    unpack = ravel_pytree(jax.tree.map(lambda array: array[0, 0], stacked))[1]
    rows = [leaf.reshape(size, -1) for leaf in jax.tree.leaves(stacked)]
    return jnp.concatenate([*rows, jnp.zeros((size, 0))], axis=1), unpack


def _at(array: jax.Array, index: jax.Array) -> jax.Array:
    return lax.dynamic_index_in_dim(array, index, keepdims=False)


def _put(array: jax.Array, index: jax.Array, value: jax.Array) -> jax.Array:
    """`array[index] = value`, in place inside a loop."""
    return lax.dynamic_update_index_in_dim(array, value, index, 0)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def add_pairs(
    operators: tuple[Operator, ...],
    first: int | None,
    params: tuple[Any, ...],
    weights: jax.Array,
    active: jax.Array,
    sources: jax.Array | None,
    outputs: jax.Array,
) -> jax.Array:
    """Adds Σ_l Σ_o weights[n, l, o] · o(source) over the active pairs to each node n.

    Args:
      operators: what each candidate computes.
      first: with `sources` None, the number of the node that is `outputs[0]`: a pair's
        source is node n-l of `outputs` itself, complete by the time that it is read.
      params: for each operator, a tree of arrays [N, L, ...].
      weights: float [N, L, O].
      active: bool [N, L, O]; an inactive pair is neither computed nor differentiated.
      sources: [L, batch, height, width, channels], the source of every node's l-th
        pair; or None.
      outputs: [nodes, batch, height, width, channels], what the pairs are added to;
        its last N entries are nodes 1..N.

    Returns:
      `outputs` with the pairs added.
    """
    return _forward(operators, first, params, weights, active, sources, outputs)[0]


def _source_and_row(first, sources, active) -> tuple[np.ndarray, np.ndarray]:
    """Of each pair, [N, L]: its source in `sources` or `outputs`, its node's row."""
    rows, columns = np.indices(active.shape[:2])
    return rows - columns - first if sources is None else columns, rows


def _forward(operators, first, params, weights, active, sources, outputs):
    num_rows = active.shape[0]
    before = outputs.shape[0] - num_rows
    source_of, row_of = _source_and_row(first, sources, active)
    source_of = jnp.asarray(source_of.reshape(-1), jnp.int32)
    packed = [_pack(tree, row_of.size) for tree in params]
    pairs = _listed(active, row_of, num_rows)

    def add(o, row, outputs, total):
        """Adds what the pairs of operator `o` give a node."""
        (order, starts), (vectors, unpack) = pairs[o], packed[o]
        buffer = outputs if sources is None else sources

        def pair(i, carry):
            # The next vector is fetched here and not where it is used: XLA's CPU
            # backend would make the slice part of the operator's innermost loops.
            vector, total = carry
            source = _at(buffer, source_of[order[i]])
            # By way of its gradient, which an operator may have of its own making: so
            # that the whole can be differentiated forwards, as second order does.
            y, _ = jax.vjp(operators[o].apply, unpack(vector), source)
            weight = weights.reshape(-1, len(operators))[order[i], o]
            # Past the last pair JAX takes the last entry again, and nobody reads it.
            return _at(vectors, order[i + 1]), total + weight.astype(y.dtype) * y

        carry = _at(vectors, order[starts[row]]), total
        return lax.fori_loop(starts[row], starts[row + 1], pair, carry)[1]

    def node(row, outputs):
        total = _at(outputs, before + row)
        for o in range(len(operators)):
            total = add(o, row, outputs, total)
        return _put(outputs, before + row, total)

    outputs = lax.fori_loop(0, num_rows, node, outputs)
    return outputs, (params, weights, active, sources, outputs)


def _backward(operators, first, residuals, grad):
    params, weights, active, sources, outputs = residuals
    num_rows, num_columns, _ = active.shape
    before = outputs.shape[0] - num_rows
    buffer = outputs if sources is None else sources
    source_of, _ = _source_and_row(first, sources, active)
    packed = [_pack(tree, source_of.size) for tree in params]
    pairs = _listed(active, source_of, len(buffer))

    def pull_back(o, index, d_outputs, x, d_x, d_vectors, d_weights):
        """Adds the gradients of the pairs of operator `o` that read source `index`."""
        (order, starts), (vectors, unpack) = pairs[o], packed[o]

        def pair(i, carry):
            vector, d_x, d_vectors, d_weights = carry
            at = order[i]
            d_y = _at(d_outputs, before + at // num_columns)
            weight = weights.reshape(-1, len(operators))[at, o]
            p = unpack(vector)
            y, pull = jax.vjp(operators[o].apply, p, x)
            # The weight multiplies what comes out, which saves a map.
            d_p, d_source = pull(d_y)
            d_weights = _put(d_weights, at, operators[o].inner(p, d_p, y, d_y))
            d_vectors = _put(d_vectors, at, weight * ravel_pytree(d_p)[0])
            d_x += weight.astype(x.dtype) * d_source
            return _at(vectors, order[i + 1]), d_x, d_vectors, d_weights

        carry = _at(vectors, order[starts[index]]), d_x, d_vectors, d_weights
        return lax.fori_loop(starts[index], starts[index + 1], pair, carry)[1:]

    def source(j, carry):
        # From the last to the first: a node's gradient is complete when it is read.
        d_sources, d_outputs, d_vectors, d_weights = carry
        index = len(buffer) - 1 - j
        x, d_vectors, d_weights = _at(buffer, index), list(d_vectors), list(d_weights)
        d_buffer = d_outputs if sources is None else d_sources
        d_x = _at(d_buffer, index)
        for o in range(len(operators)):
            d_x, d_vectors[o], d_weights[o] = pull_back(
                o, index, d_outputs, x, d_x, d_vectors[o], d_weights[o]
            )
        if sources is None:
            d_outputs = _put(d_outputs, index, d_x)
        else:
            d_sources = _put(d_sources, index, d_x)
        return d_sources, d_outputs, tuple(d_vectors), tuple(d_weights)

    d_vectors = tuple(jnp.zeros_like(vectors) for vectors, _ in packed)
    d_weights = tuple(jnp.zeros(active[:, :, 0].size, jnp.float32) for _ in packed)
    carry = jax.tree.map(jnp.zeros_like, sources), grad, d_vectors, d_weights
    carry = lax.fori_loop(0, len(buffer), source, carry)
    d_sources, d_outputs, d_vectors, d_weights = carry

    d_params = _unpacked(d_vectors, packed, (num_rows, num_columns))
    d_weights = jnp.stack(d_weights, axis=-1).reshape(weights.shape)
    return d_params, d_weights.astype(weights.dtype), None, d_sources, d_outputs


def _unpacked(vectors, packed, shape):
    """Trees of arrays [N, L, ...] of what `_pack` made vectors of."""
    return tuple(
        jax.vmap(jax.vmap(unpack))(own.reshape(*shape, -1))
        for own, (_, unpack) in zip(vectors, packed, strict=True)
    )


add_pairs.defvjp(_forward, _backward)
