"""A stage of the super-network: its nodes from its inputs.

What its edges compute is summed in `pairs.py`. Edges that leave a reduction cell's
inputs have stride 2, and are summed ahead of the others.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifnas_jax.nn.pairs import Operator, add_pairs
from ifnas_jax.spaces.graph import Stage


class Edges(NamedTuple):
    """The edges of one stride.

    Attributes:
      operators: what each candidate computes on one of them.
      params: for each operator, a tree of arrays [N, L, ...]; of stride 2
        [N, inputs, ...].
    """

    operators: tuple[Operator, ...]
    params: tuple[Any, ...]


def stage(
    graph: Stage,
    plain: Edges,
    strided: Edges | None,
    weights: jax.Array,
    active: jax.Array,
    inputs: jax.Array,
    add: Callable = add_pairs,
) -> jax.Array:
    """A stage: x_n = Σ_l Σ_o weights[n, l, o] · o(x_{n-l}) over the active pairs.

    Args:
      graph: the stage.
      plain: the edges of stride 1.
      strided: those by which the stage's inputs are left, if that is with stride 2.
      weights: float [N, L, O].
      active: bool [N, L, O].
      inputs: [inputs, batch, height, width, channels], the farthest first.
      add: adds the pairs to the nodes: `add_pairs`, or `nodes.add_nodes`.

    Returns:
      The output of the last node, or of all nodes, concatenated.
    """
    num_nodes = graph.num_nodes
    if graph.stride == 1:
        nodes = jnp.zeros((num_nodes, *inputs.shape[1:]), inputs.dtype)
        nodes = jnp.concatenate([inputs, nodes])
        first = graph.first
    else:
        nodes = _from_strided(graph, strided, weights, active, inputs, add)
        active = active & ~graph.strided()[:, :, None]
        first = 1
    nodes = add(plain.operators, first, plain.params, weights, active, None, nodes)
    if not graph.joined:
        return nodes[-1]
    nodes = jnp.moveaxis(nodes[-num_nodes:], 0, -2)
    return nodes.reshape(*nodes.shape[:-2], -1)


def _from_strided(graph, edges, weights, active, inputs, add):
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
    return add(edges.operators, None, edges.params, weights, active, inputs, nodes)


def strided_entries(graph: Stage) -> tuple[np.ndarray, np.ndarray]:
    """Row and column in [N, L] of each node's edge from each input, [N, inputs].

    Columns from L on are no edges.
    """
    rows = np.arange(graph.num_nodes)[:, None]
    inputs = np.arange(graph.first, 1)[None, :]
    return rows + 0 * inputs, rows - inputs
