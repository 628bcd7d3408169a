"""MAdds and parameters of operators, of the macro network and of what is between.

MAdds are multiply-adds of convolutions and fully connected layers; batch norm, ReLU,
pooling and biases count nothing. Parameters exclude the auxiliary head, which only
retraining has. Plain integers, and no JAX but for operators of one's own.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ifnas_jax.errors import InputError
from ifnas_jax.operators.names import check_operator
from ifnas_jax.spaces.graph import Space

# What the spatial size is divided by up to the first stage; each later stage halves.
STEM_STRIDES = {"imagenet": 8, "small": 1}


class Cost(NamedTuple):
    """Multiply-adds for one image, and learned parameters."""

    madds: int
    params: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.madds + other.madds, self.params + other.params)


@dataclasses.dataclass(frozen=True)
class Macro:
    """The sizes of a network around and inside its stages.

    Attributes:
      width: channels C of the nodes of the first level; the next two have 2C and 4C.
      num_classes: outputs of the classifier.
      image_size: height and width of the input, in pixels.
      channels: of the input image.
      stem: "imagenet" (three halvings before the first level) or "small" (none).
      cells: of the network, if it is of cells; 0 in a chain.
    """

    width: int
    num_classes: int
    image_size: int
    channels: int
    stem: str
    cells: int = 0

    def __post_init__(self):
        if self.stem not in STEM_STRIDES:
            raise InputError(
                f"stem is {self.stem!r}; choose one of {sorted(STEM_STRIDES)}."
            )
        for field in ("width", "num_classes", "image_size", "channels"):
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(
                    f"{field} is {value!r}; set a whole number of at least 1."
                )
        if self.cells and self.width % 2:
            raise InputError(
                f"width is {self.width}, but a reduction cell makes it of two halves; "
                "set an even number."
            )
        multiple = 4 * STEM_STRIDES[self.stem]
        if self.image_size % multiple:
            raise InputError(
                f"image_size is {self.image_size}, but stem {self.stem!r} with "
                f"two more halvings takes multiples of {multiple}; resize the images "
                f"to {-(-self.image_size // multiple) * multiple}, or use another stem."
            )

    @property
    def widths(self) -> tuple[int, int, int]:
        """Channels of the nodes of each level."""
        return self.width, 2 * self.width, 4 * self.width

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Height and width, in pixels, of the nodes of each level."""
        first = self.image_size // STEM_STRIDES[self.stem]
        return first, first // 2, first // 4


def conv(size: int, kernel: int, inputs: int, outputs: int) -> Cost:
    """A convolution without bias whose output is `size` × `size` pixels."""
    params = kernel * kernel * inputs * outputs
    return Cost(size * size * params, params)


def norm(width: int) -> Cost:
    """Batch norm: scale and offset."""
    return Cost(0, 2 * width)


def sep(size: int, inputs: int, outputs: int) -> Cost:
    """ReLU, depthwise 3×3, pointwise 1×1, batch norm."""
    depthwise = Cost(size * size * 9 * inputs, 9 * inputs)
    return depthwise + conv(size, 1, inputs, outputs) + norm(outputs)


def factorized_reduce(size: int, inputs: int, outputs: int) -> Cost:
    """Two 1×1 convolutions of stride 2 and half the outputs each, batch norm."""
    return conv(size, 1, inputs, outputs) + norm(outputs)


def sep_conv_3x3(size: int, width: int, stride: int) -> Cost:
    """Two `sep` in a row, the first of which has the stride."""
    del stride  # Both compute at the output's size.
    return sep(size, width, width) + sep(size, width, width)


def skip_connect(size: int, width: int, stride: int) -> Cost:
    """The identity, or with stride 2 a factorized reduction."""
    return Cost(0, 0) if stride == 1 else factorized_reduce(size, width, width)


# (size of the output, width, stride) -> Cost.
OPERATORS: Mapping[str, Callable[[int, int, int], Cost]] = {
    "sep_conv_3x3": sep_conv_3x3,
    "skip_connect": skip_connect,
}


def operator_cost(name: str, size: int, width: int, stride: int) -> Cost:
    """The cost of an operator whose output has `size` × `size` pixels.

    Raises:
      InputError: it is not known, or is one of one's own that can't be used.
    """
    check_operator(name)
    if name in OPERATORS:
        return OPERATORS[name](size, width, stride)
    # It is traced by JAX, which takes seconds to import.
    from ifnas_jax.operators.own import own_cost

    return Cost(*own_cost(name, size, width, stride))


class PairCosts(NamedTuple):
    """What each pair of a stage adds, at all its positions: [N, L, operators].

    Plain integers, which do not overflow.
    """

    madds: np.ndarray
    params: np.ndarray


def pair_costs(space: Space, macro: Macro) -> list[PairCosts]:
    """The cost of every (edge, operator) pair, for each stage.

    A stage that the network has several times, as cells that are shared, adds its
    pairs' costs at each of its positions.

    Raises:
      InputError: an operator is not known or can't be used, or the space can't have
        `macro.cells`.
    """
    total = [PairCosts(*np.zeros((2, *full.shape), object)) for full in space.full()]
    for stage, level in space.positions(macro.cells):
        size, width = macro.sizes[level], macro.widths[level]
        graph = space.stages[stage]
        for stride, edges in ((1, ~graph.strided()), (2, graph.strided())):
            if not edges.any():
                continue
            costs = [operator_cost(n, size, width, stride) for n in space.operators]
            for kind, all_edges in zip(
                zip(*costs, strict=True), total[stage], strict=True
            ):
                all_edges += edges[:, :, None] * np.array(kind, object)
    return total


def _shortcut(size: int, inputs: int, outputs: int) -> Cost:
    """1×1 convolution of stride 2 and batch norm; `size` is the input's."""
    return conv(size // 2, 1, inputs, outputs) + norm(outputs)


def fixed_cost(space: Space, macro: Macro) -> Cost:
    """All that is no searched node: stem, inputs of stages or cells, classifier."""
    return sum(fixed_parts(space, macro).values(), Cost(0, 0))


def fixed_parts(space: Space, macro: Macro) -> dict[str, Cost]:
    """The cost of each part that is not searched: "stem", "inputs" and "head"."""
    costs = _cells_costs(space, macro) if space.has_cells else _chain_costs(macro)
    return dict(zip(("stem", "inputs", "head"), costs, strict=True))


def _chain_costs(macro: Macro) -> tuple[Cost, Cost, Cost]:
    first, second, third = macro.widths
    size1, size2, size3 = macro.sizes
    if macro.stem == "imagenet":
        half, quarter = macro.image_size // 2, macro.image_size // 4
        stem = conv(half, 3, macro.channels, 32) + norm(32)
        stem += sep(half, 32, 48) + sep(half, 48, 48) + _shortcut(half, 32, 48)
        stem += sep(quarter, 48, first) + sep(quarter, first, first)
        stem += _shortcut(quarter, 48, first)
    else:
        stem = conv(size1, 3, macro.channels, first) + norm(first)
    inputs = sep(size1, first, first)
    inputs += sep(size1, first, second) + _shortcut(size1, first, second)
    inputs += sep(size2, second, third) + _shortcut(size2, second, third)
    features = 4 * third
    head = sep(size3, third, features) + norm(features)
    return stem, inputs, head + _dense(features, macro.num_classes)


def _dense(features: int, classes: int) -> Cost:
    return Cost(features * classes, features * classes + classes)


def _cells_costs(space: Space, macro: Macro) -> tuple[Cost, Cost, Cost]:
    first, size = macro.width, macro.sizes[0]
    if macro.stem == "imagenet":
        half, quarter = macro.image_size // 2, macro.image_size // 4
        stem = conv(half, 3, macro.channels, first // 2) + norm(first // 2)
        stem += conv(quarter, 3, first // 2, first) + norm(first)
        stem += conv(size, 3, first, first) + norm(first)
    else:
        stem = conv(size, 3, macro.channels, 3 * first) + norm(3 * first)
    # A cell makes its two inputs of the outputs of the two cells before it, at the size
    # of the last one; the factorized reduction of a larger one costs as much.
    channels = first if macro.stem == "imagenet" else 3 * first
    made, given, inputs = [channels, channels], size, Cost(0, 0)
    for stage, level in space.positions(macro.cells):
        width = macro.widths[level]
        for channels in made[-2:]:
            inputs += conv(given, 1, channels, width) + norm(width)
        made.append(space.stages[stage].num_nodes * width)
        given = macro.sizes[level]
    last = space.stages[-1].num_nodes * macro.widths[2]
    return stem, inputs, _dense(last, macro.num_classes)


def network_cost(space: Space, macro: Macro, kept: Sequence[np.ndarray]) -> Cost:
    """The cost of a network that keeps some (edge, operator) pairs.

    Args:
      space: the space.
      macro: the sizes.
      kept: a bool [N, L, operators] for each stage.

    Returns:
      MAdds for one image and parameters, fixed parts included.
    """
    return sum(stage_costs(space, macro, kept), fixed_cost(space, macro))


def stage_costs(space: Space, macro: Macro, kept: Sequence[np.ndarray]) -> list[Cost]:
    """What the pairs of each stage of a network cost; arguments as `network_cost`."""
    return [
        Cost(*(int(values[stage].sum()) for values in costs))
        for costs, stage in zip(pair_costs(space, macro), kept, strict=True)
    ]
