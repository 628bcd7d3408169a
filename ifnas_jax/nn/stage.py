"""A stage of the super-network: its nodes from its inputs.

What its edges compute is summed in `pairs.py`. Edges that leave a reduction cell's
inputs have stride 2, and are summed ahead of the others.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ifnas_jax.nn.pairs import Operator, add_pairs
from ifnas_jax.spaces.graph import Stage


def stage(
    graph: Stage,
    operators: tuple[Operator, ...],
    strided: tuple[Operator, ...],
    params: tuple[Any, ...],
    strided_params: tuple[Any, ...],
    weights: jax.Array,
    active: jax.Array,
    inputs: jax.Array,
    add: Callable = add_pairs,
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
      add: adds the pairs to the nodes: `add_pairs`, or one with its arguments.

    Returns:
      The output of the last node, or of all nodes, concatenated.
    """
    num_nodes = graph.num_nodes
    if graph.stride == 1:
        nodes = jnp.zeros((num_nodes, *inputs.shape[1:]), inputs.dtype)
        nodes = jnp.concatenate([inputs, nodes])
        first = graph.first
    else:
        nodes = _from_strided(
            graph, strided, strided_params, weights, active, inputs, add
        )
        active = active & ~graph.strided()[:, :, None]
        first = 1
    nodes = add(operators, first, params, weights, active, None, nodes)
    if not graph.joined:
        return nodes[-1]
    nodes = jnp.moveaxis(nodes[-num_nodes:], 0, -2)
    return nodes.reshape(*nodes.shape[:-2], -1)


def _from_strided(graph, operators, params, weights, active, inputs, add):
    """What the edges from a reduction's inputs give each node: [N, batch, ...]."""
    rows, columns = strided_entries(graph)
    # [N, inputs, O]: column i of a row is its edge from the i-th farthest input.
    in_reach = columns < graph.num_precursors
    columns = np.where(in_reach, columns, 0)
    weights, active = weights[rows, columns], active[rows, columns]
    active = active & in_reach[:, :, None]
    _, batch, height, width, channels = inputs.shape
    shape = (graph.num_nodes, batch, height // 2, width // 2, channels)
    nodes = jnp.zeros(shape, inputs.dtype)
    return add(operators, None, params, weights, active, inputs, nodes)


def strided_entries(graph: Stage) -> tuple[np.ndarray, np.ndarray]:
    """Row and column in [N, L] of each node's edge from each input, [N, inputs].

    Columns from L on are no edges.
    """
    rows = np.arange(graph.num_nodes)[:, None]
    inputs = np.arange(graph.first, 1)[None, :]
    return rows + 0 * inputs, rows - inputs
