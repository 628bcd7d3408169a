"""The super-network: every candidate operator of a space, one compiled program.

A stage's parameters are stacked, [N, L, ...] for each operator, and the stage is one
loop over its active (edge, operator) pairs, in the order of their destination nodes.
Which pairs are active is data, and so is the loop's length: a group or a pruning
changes neither the program nor its shapes, an inactive pair costs nothing to run,
and the program has one copy of each operator, whatever N and L are.

The gradient is written out for two reasons: a loop whose length is data has no
reverse mode of its own, and each node's output is kept once, however many edges read
it; what happens inside an edge is computed again on the way back.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ifnas_jax.cost import Macro
from ifnas_jax.nn import macro as macro_parts
from ifnas_jax.nn import ops
from ifnas_jax.spaces.graph import Space

# What an operator computes: (its parameters, the source node's output) -> output.
Operator = Callable[[Any, jax.Array], jax.Array]


def active_pairs(active: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Lists the true entries of a bool [N, L, O], sorted by destination node.

    Returns:
      Flat indices [N·L·O], those of the true entries first, and how many those are.
    """
    flat = active.reshape(-1)
    order = jnp.argsort(~flat, stable=True).astype(jnp.int32)
    return order, flat.sum(dtype=jnp.int32)


def _unravel(index, shape):
    """Flat index to (node row, distance column, operator)."""
    _, distances, operators = shape
    pair, op = index // operators, index % operators
    return pair // distances, pair % distances, op


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


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def stage(
    operators: tuple[Operator, ...],
    params: tuple[Any, ...],
    weights: jax.Array,
    active: jax.Array,
    x: jax.Array,
) -> jax.Array:
    """A stage: x_n = Σ_l Σ_o weights[n, l, o] · o(x_{n-l}) over the active pairs.

    Args:
      operators: what each candidate computes.
      params: for each operator, a tree of arrays [N, L, ...].
      weights: float [N, L, O].
      active: bool [N, L, O]; an inactive pair is neither computed nor differentiated.
      x: output of node 0, [batch, height, width, channels].

    Returns:
      The output of node N, of the shape of x.
    """
    return _stage_forward(operators, params, weights, active, x)[0]


def _stage_forward(operators, params, weights, active, x):
    order, count = active_pairs(active)
    num_nodes = active.shape[0]
    outputs = jnp.zeros((num_nodes + 1, *x.shape), x.dtype).at[0].set(x)

    def body(i, outputs):
        row, column, op = _unravel(order[i], active.shape)
        source = lax.dynamic_index_in_dim(outputs, row - column, keepdims=False)
        weight = weights[row, column, op].astype(x.dtype)

        def run(index):
            return lambda p, s: operators[index](p[index], s)

        branches = [run(index) for index in range(len(operators))]
        y = lax.switch(op, branches, _take(params, row, column), source)
        return _accumulate(outputs, row + 1, weight * y)

    outputs = lax.fori_loop(0, count, body, outputs)
    return outputs[num_nodes], (params, weights, active, order, count, outputs)


def _stage_backward(operators, residuals, grad):
    params, weights, active, order, count, outputs = residuals
    num_nodes = active.shape[0]

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

    def body(i, carry):
        d_params, d_weights, d_outputs = carry
        row, column, op = _unravel(order[count - 1 - i], active.shape)
        source = lax.dynamic_index_in_dim(outputs, row - column, keepdims=False)
        d_y = lax.dynamic_index_in_dim(d_outputs, row + 1, keepdims=False)
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
        return d_params, d_weights, _accumulate(d_outputs, row - column, d_source)

    d_outputs = jnp.zeros_like(outputs).at[num_nodes].set(grad)
    d_params = jax.tree.map(jnp.zeros_like, params)
    carry = (d_params, jnp.zeros(weights.shape, jnp.float32), d_outputs)
    d_params, d_weights, d_outputs = lax.fori_loop(0, count, body, carry)
    return d_params, d_weights.astype(weights.dtype), None, d_outputs[0]


stage.defvjp(_stage_forward, _stage_backward)


@dataclasses.dataclass(frozen=True)
class Supernet:
    """What is static about a super-network.

    Batch norm uses the statistics of the batch, always; there is no running state,
    so the super-network is a pure function.

    Attributes:
      space: the search space.
      macro: the sizes, at the search width.
      dtype: of the computation; parameters, statistics and logits are float32.
    """

    space: Space
    macro: Macro
    dtype: Any = jnp.float32

    def operator(self, name: str, stage_index: int):
        """The Linen module of an operator at a stage's width."""
        return ops.OPERATORS[name](self.macro.stage_widths[stage_index], self.dtype)

    def parts(self):
        """The fixed parts: stem, stage inputs, classifier."""
        macro, dtype = self.macro, self.dtype
        inputs = [macro_parts.StageInput(macro, s, dtype) for s in range(3)]
        stem = macro_parts.Stem(macro, dtype)
        return stem, inputs, macro_parts.Classifier(macro, dtype)

    def init(self, rng: jax.Array) -> dict[str, Any]:
        """Parameters: {"stem", "inputs", "stages", "classifier"}.

        "stages" holds, for each stage, {operator: tree of arrays [N, L, ...]}.
        """
        stem, inputs, classifier = self.parts()
        stem_rng, classifier_rng, *rngs = jax.random.split(rng, 8)
        size, macro = self.macro.image_size, self.macro
        x = jnp.zeros((1, size, size, macro.channels))
        x, stem_params = _init(stem, stem_rng, x)
        params = {"stem": stem_params, "inputs": [], "stages": []}
        for index, graph in enumerate(self.space.stages):
            x, input_params = _init(inputs[index], rngs[index], x)
            params["inputs"].append(input_params)
            shape = graph.valid().shape
            stacked = {}
            for number, name in enumerate(self.space.operators):
                key = jax.random.fold_in(rngs[3 + index], number)
                module = self.operator(name, index)
                init = lambda key, m=module, x=x: m.init(key, x, train=True)  # noqa: E731
                keys = jax.random.split(key, shape)
                stacked[name] = jax.vmap(jax.vmap(init))(keys).get("params", {})
            params["stages"].append(stacked)
        params["classifier"] = _init(classifier, classifier_rng, x)[1]
        return params

    def apply(
        self,
        params: dict[str, Any],
        weights: Sequence[jax.Array],
        active: Sequence[jax.Array],
        images: jax.Array,
    ) -> jax.Array:
        """Logits of a batch.

        Args:
          params: as `init` returns.
          weights: for each stage, what multiplies each operator's output, [N, L, O].
          active: for each stage, the pairs that take part, bool [N, L, O].
          images: [batch, size, size, channels].

        Returns:
          float32 logits [batch, classes].
        """
        stem, inputs, classifier = self.parts()
        x = batch_apply(stem, params["stem"], images)
        for index in range(len(self.space.stages)):
            x = batch_apply(inputs[index], params["inputs"][index], x)
            names = self.space.operators
            operators = tuple(
                functools.partial(batch_apply, self.operator(name, index))
                for name in names
            )
            stacked = tuple(params["stages"][index][name] for name in names)
            x = stage(operators, stacked, weights[index], active[index], x)
        return batch_apply(classifier, params["classifier"], x)

    def active_params(
        self, params: dict[str, Any], active: Sequence[jax.Array]
    ) -> dict[str, Any]:
        """Which parameters take part: a tree like `params` of bools that broadcast.

        Args:
          params: as `init` returns.
          active: as for `apply`.
        """
        tree = jax.tree.map(lambda _: jnp.array(True), params)
        for index, stacked in enumerate(params["stages"]):
            for number, name in enumerate(self.space.operators):
                on = active[index][:, :, number]
                tree["stages"][index][name] = jax.tree.map(
                    lambda x, on=on: on.reshape(on.shape + (1,) * (x.ndim - 2)),
                    stacked[name],
                )
        return tree


def batch_apply(module, params, x):
    """Applies a Linen module with the statistics of the batch, keeping none."""
    return module.apply({"params": params}, x, train=True, mutable=["batch_stats"])[0]


def _init(module, rng, x):
    """Output and parameters of a module that is initialised on x."""
    y, variables = module.init_with_output(rng, x, train=True)
    return y, variables["params"]
