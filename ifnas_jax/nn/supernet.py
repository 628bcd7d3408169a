"""The super-network: every candidate operator of a space, one compiled program.

A stage's parameters are stacked, [N, L, ...] for each operator; `stage.py` computes
it.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ifnas_jax.architecture.cost import Macro
from ifnas_jax.nn import macro as macro_parts
from ifnas_jax.nn.ops import make_operator
from ifnas_jax.nn.pairs import Operator, add_pairs
from ifnas_jax.nn.stage import Edges, stage, strided_entries
from ifnas_jax.spaces.graph import Space


@dataclasses.dataclass(frozen=True)
class Supernet:
    """What is static about a super-network.

    Batch norm uses the statistics of the batch, always; there is no running state,
    so the super-network is a pure function.

    Attributes:
      space: the search space.
      macro: the sizes, at the search width.
      dtype: of the computation; parameters, statistics and logits are float32.
      wrap: (operator, its stride) -> operator, for methods that change the operators.
      width: (width of a stage) -> width at which wrapped operators compute.
      add: adds the active pairs to their nodes: `pairs.add_pairs`, which CPUs are fast
        at, or `nodes.add_nodes`, for GPUs.
    """

    space: Space
    macro: Macro
    dtype: Any = jnp.float32
    wrap: Callable[[nn.Module, int], nn.Module] | None = None
    width: Callable[[int], int] = lambda width: width
    add: Callable = add_pairs

    def operator(self, name: str, level: int, stride: int = 1) -> nn.Module:
        """The Linen module of an operator at a level's width."""
        width = self.width(self.macro.widths[level])
        module = make_operator(name, width, self.dtype, stride=stride)
        return self.wrap(module, stride) if self.wrap else module

    def parts(self) -> macro_parts.FixedParts:
        """The fixed parts: stem, inputs of the positions, classifier."""
        return macro_parts.fixed_parts(self.space, self.macro, dtype=self.dtype)

    @property
    def positions(self):
        """Where the stages are."""
        return self.space.positions(self.macro.cells)

    def init(self, rng: jax.Array) -> dict[str, Any]:
        """Parameters: {"stem", "inputs", "stages", "strided", "classifier"}.

        "stages" holds, for each position, {operator: tree of arrays [N, L, ...]};
        "strided" the same of edges with stride 2, [N, inputs, ...], or {}.
        """
        parts, macro = self.parts(), self.macro
        stem_rng, classifier_rng, rng = jax.random.split(rng, 3)
        image = jnp.zeros((1, macro.image_size, macro.image_size, macro.channels))
        made, stem_params = _init(parts.stem, stem_rng, image)
        params = {"stem": stem_params, "inputs": [], "stages": [], "strided": []}
        for index, position in enumerate(self.positions):
            input_rng, *rngs = jax.random.split(jax.random.fold_in(rng, index), 3)
            inputs, input_params = _init(parts.inputs[index], input_rng, *made)
            graph = self.space.stages[position.stage]
            params["inputs"].append(input_params)
            shapes = [(graph.num_nodes, graph.num_precursors)]
            if graph.stride > 1:
                shapes.append((graph.num_nodes, graph.num_inputs))
            sizes = macro.sizes[position.level], macro.widths[position.level]
            x = jnp.zeros((1, sizes[0], sizes[0], sizes[1]))
            examples = [x, inputs[0]]
            stacked = [
                self._init_operators(rngs[i], shape, position.level, i + 1, examples[i])
                for i, shape in enumerate(shapes)
            ]
            params["stages"].append(stacked[0])
            params["strided"].append(stacked[1] if len(stacked) > 1 else {})
            output = graph.num_nodes * [x] if graph.joined else [x]
            made = (*made, jnp.concatenate(output, axis=-1))[-graph.num_inputs :]
        params["classifier"] = _init(parts.classifier, classifier_rng, made[-1])[1]
        return params

    def _init_operators(self, rng, shape, level: int, stride: int, x) -> dict[str, Any]:
        """{operator: tree of arrays [*shape, ...]}."""
        stacked = {}
        for number, name in enumerate(self.space.operators):
            key = jax.random.fold_in(rng, number)
            module = self.operator(name, level, stride)
            init = lambda key, m=module: m.init(key, x, train=True)  # noqa: E731
            keys = jax.random.split(key, shape)
            stacked[name] = jax.vmap(jax.vmap(init))(keys).get("params", {})
        return stacked

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
        parts = self.parts()
        made = batch_apply(parts.stem, params["stem"], images)
        for index, (number, level) in enumerate(self.positions):
            graph = self.space.stages[number]
            inputs = batch_apply(parts.inputs[index], params["inputs"][index], *made)
            plain = self._edges(level, 1, params["stages"][index])
            strided = None
            if graph.stride > 1:
                strided = self._edges(level, 2, params["strided"][index])
            own = weights[number], active[number]
            x = stage(graph, plain, strided, *own, inputs, self.add)
            made = (*made, x)[-graph.num_inputs :]
        return batch_apply(parts.classifier, params["classifier"], made[-1])

    def _edges(self, level: int, stride: int, stacked: dict[str, Any]) -> Edges:
        """The edges of one stride, in the order of the space's operators."""
        names = self.space.operators
        modules = [self.operator(name, level, stride) for name in names]
        return Edges(
            tuple(map(as_operator, modules)), tuple(stacked[name] for name in names)
        )

    def active_params(
        self, params: dict[str, Any], active: Sequence[jax.Array]
    ) -> dict[str, Any]:
        """Which parameters take part: a tree like `params` of bools that broadcast.

        Args:
          params: as `init` returns.
          active: as for `apply`.
        """
        tree = jax.tree.map(lambda _: jnp.array(True), params)

        def spread(stacked, on):
            return jax.tree.map(
                lambda x: on.reshape(on.shape + (1,) * (x.ndim - 2)), stacked
            )

        for index, (number, _) in enumerate(self.positions):
            graph = self.space.stages[number]
            rows, columns = strided_entries(graph)
            inner = active[number] & ~graph.strided()[:, :, None]
            for o, name in enumerate(self.space.operators):
                own = params["stages"][index][name]
                tree["stages"][index][name] = spread(own, inner[:, :, o])
                if params["strided"][index]:
                    own = params["strided"][index][name]
                    on = active[number][rows, columns, o]
                    on &= columns < graph.num_precursors
                    tree["strided"][index][name] = spread(own, on)
        return tree


def batch_apply(module, params, *arrays):
    """Applies a Linen module with the statistics of the batch, keeping none."""
    variables = {"params": params}
    return module.apply(variables, *arrays, train=True, mutable=["batch_stats"])[0]


def as_operator(module: nn.Module) -> Operator:
    """What a stage computes on an edge with a Linen module."""
    path = getattr(module, "last_norm", None)

    def linear(params):
        return functools.reduce(lambda tree, key: tree[key], path, params)

    apply = functools.partial(batch_apply, module)
    return Operator(apply, linear if path else None)


def _init(module, rng, *arrays):
    """Output and parameters of a module that is initialised on arrays."""
    y, variables = module.init_with_output(rng, *arrays, train=True)
    return y, variables["params"]
