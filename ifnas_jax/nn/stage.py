"""A stage as one loop over its active (edge, operator) pairs.

The pairs are in the order of their destination nodes, and each node sums its own before
the sum is stored. Which are active is data, and so is the loop's length: a group or a
pruning changes neither the program nor its shapes, an inactive pair costs nothing to
run, and the program has one copy of each operator, whatever N and L are. Edges that
leave a reduction cell's inputs have operators of another shape; they are a loop of
their own, ahead of the others.

The gradient is written out for two reasons: a loop whose length is data has no
reverse mode of its own, and each node's output is kept once, however many edges read
it; what happens inside an edge is computed again on the way back.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ifnas_jax.spaces.graph import Stage

# What an operator computes: (its parameters, the source node's output) -> output.
Operator = Callable[[Any, jax.Array], jax.Array]


def active_pairs(active: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Lists the true entries of a bool [N, L, O], sorted by destination node.

    Returns:
      Flat indices [N·L·O], those of the true entries first, and where among them each
      node's begin, [N + 1]: the last entry is how many there are.
    """
    flat = active.reshape(-1)
    order = jnp.argsort(~flat, stable=True).astype(jnp.int32)
    counts = active.sum(axis=(1, 2), dtype=jnp.int32)
    return order, jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(counts)])


def _unravel(index, shape):
    """Flat index to (distance column, operator)."""
    _, distances, operators = shape
    return index // operators % distances, index % operators


def _take(stacked, row, column):
    """One edge's slice of a tree of arrays [N, L, ...]."""

    def take(array):
        start = (row, column) + (0,) * (array.ndim - 2)
        return lax.dynamic_slice(array, start, (1, 1, *array.shape[2:]))[0, 0]

    return jax.tree.map(take, stacked)


def _accumulate(buffer, index, value):
    """`buffer[index] += value` along the first axis, in place inside a loop."""
    current = lax.dynamic_index_in_dim(buffer, index, keepdims=False)
    return lax.dynamic_update_index_in_dim(buffer, current + value, index, 0)


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


def _source(first, sources, row, column):
    """Index of a pair's source, in `sources` or in `outputs`."""
    return row - column - first if sources is None else column


def _forward(operators, first, params, weights, active, sources, outputs):
    order, ends = active_pairs(active)
    before = outputs.shape[0] - active.shape[0]

    def run(index):
        # By way of its gradient, which an operator may have of its own making: so
        # that the whole can be differentiated forwards, as second order does.
        def branch(p, source, weight, total):
            return total + weight * jax.vjp(operators[index], p[index], source)[0]

        return branch

    branches = [run(index) for index in range(len(operators))]

    def node(row, outputs):
        buffer = outputs if sources is None else sources

        def pair(i, total):
            column, op = _unravel(order[i], active.shape)
            at = _source(first, sources, row, column)
            source = lax.dynamic_index_in_dim(buffer, at, keepdims=False)
            weight = weights[row, column, op].astype(outputs.dtype)
            return lax.switch(
                op, branches, _take(params, row, column), source, weight, total
            )

        total = lax.dynamic_index_in_dim(outputs, before + row, keepdims=False)
        total = lax.fori_loop(ends[row], ends[row + 1], pair, total)
        return lax.dynamic_update_index_in_dim(outputs, total, before + row, 0)

    outputs = lax.fori_loop(0, active.shape[0], node, outputs)
    return outputs, (params, weights, active, order, ends, sources, outputs)


def _backward(operators, first, residuals, grad):
    params, weights, active, order, ends, sources, outputs = residuals
    before = outputs.shape[0] - active.shape[0]

    def run(index):
        """Gradients of one pair, through operator `index`."""

        def branch(p, source, weight, grad):
            y, pull = jax.vjp(operators[index], p[index], source)
            d_params = [jax.tree.map(jnp.zeros_like, other) for other in p]
            d_params[index], d_source = pull(weight * grad)
            # Summed in float32: the gradient of a gate is a sum over the whole map.
            d_weight = jnp.sum((y * grad).astype(jnp.float32))
            return tuple(d_params), d_weight, d_source

        return branch

    branches = [run(index) for index in range(len(operators))]

    def pair(i, carry, row, d_y):
        d_params, d_weights, d_sources, d_outputs = carry
        column, op = _unravel(order[i], active.shape)
        buffer = outputs if sources is None else sources
        at = _source(first, sources, row, column)
        source = lax.dynamic_index_in_dim(buffer, at, keepdims=False)
        weight = weights[row, column, op].astype(source.dtype)
        d_p, d_weight, d_source = lax.switch(
            op, branches, _take(params, row, column), source, weight, d_y
        )
        current = _take(d_params, row, column)

        def put(stacked, old, new):
            value = (old + new)[None, None]
            start = (row, column) + (0,) * (stacked.ndim - 2)
            return lax.dynamic_update_slice(stacked, value, start)

        d_params = jax.tree.map(put, d_params, current, d_p)
        d_weights = lax.dynamic_update_slice(
            d_weights, d_weight.reshape(1, 1, 1), (row, column, op)
        )
        if sources is None:
            d_outputs = _accumulate(d_outputs, at, d_source)
        else:
            d_sources = _accumulate(d_sources, at, d_source)
        return d_params, d_weights, d_sources, d_outputs

    def node(j, carry):
        # From the last to the first: a node's gradient is complete when it is read.
        row = active.shape[0] - 1 - j
        d_y = lax.dynamic_index_in_dim(carry[3], before + row, keepdims=False)
        body = functools.partial(pair, row=row, d_y=d_y)
        return lax.fori_loop(ends[row], ends[row + 1], body, carry)

    d_params, d_sources = jax.tree.map(jnp.zeros_like, (params, sources))
    carry = (d_params, jnp.zeros(weights.shape, jnp.float32), d_sources, grad)
    carry = lax.fori_loop(0, active.shape[0], node, carry)
    d_params, d_weights, d_sources, d_outputs = carry
    return d_params, d_weights.astype(weights.dtype), None, d_sources, d_outputs


add_pairs.defvjp(_forward, _backward)


def stage(
    graph: Stage,
    operators: tuple[Operator, ...],
    strided: tuple[Operator, ...],
    params: tuple[Any, ...],
    strided_params: tuple[Any, ...],
    weights: jax.Array,
    active: jax.Array,
    inputs: jax.Array,
) -> jax.Array:
    """A stage: x_n = Σ_l Σ_o weights[n, l, o] · o(x_{n-l}) over the active pairs.

    Args:
      graph: the stage.
      operators: what each candidate computes on an edge of stride 1.
      strided: the same where the stage's inputs are left with stride 2.
      params: for each of `operators`, a tree of arrays [N, L, ...].
      strided_params: for each of `strided`, a tree of arrays [N, inputs, ...].
      weights: float [N, L, O].
      active: bool [N, L, O].
      inputs: [inputs, batch, height, width, channels], the farthest first.

    Returns:
      The output of the last node, or of all nodes, concatenated.
    """
    num_nodes = graph.num_nodes
    if graph.stride == 1:
        nodes = jnp.zeros((num_nodes, *inputs.shape[1:]), inputs.dtype)
        nodes = jnp.concatenate([inputs, nodes])
        first = graph.first
    else:
        nodes = _from_strided(graph, strided, strided_params, weights, active, inputs)
        active = active & ~graph.strided()[:, :, None]
        first = 1
    nodes = add_pairs(operators, first, params, weights, active, None, nodes)
    if not graph.joined:
        return nodes[-1]
    nodes = jnp.moveaxis(nodes[-num_nodes:], 0, -2)
    return nodes.reshape(*nodes.shape[:-2], -1)


def _from_strided(graph, operators, params, weights, active, inputs):
    """What the edges from a reduction's inputs give each node: [N, batch, ...]."""
    rows, columns = strided_entries(graph)
    # [N, inputs, O]: column i of a row is its edge from the i-th farthest input.
    weights, active = weights[rows, columns], active[rows, columns]
    active = active & (columns < graph.num_precursors)[:, :, None]
    _, batch, height, width, channels = inputs.shape
    shape = (graph.num_nodes, batch, height // 2, width // 2, channels)
    nodes = jnp.zeros(shape, inputs.dtype)
    return add_pairs(operators, None, params, weights, active, inputs, nodes)


def strided_entries(graph: Stage) -> tuple[np.ndarray, np.ndarray]:
    """Row and column in [N, L] of each node's edge from each input, [N, inputs].

    Columns from L on are no edges.
    """
    rows = np.arange(graph.num_nodes)[:, None]
    inputs = np.arange(graph.first, 1)[None, :]
    return rows + 0 * inputs, rows - inputs
