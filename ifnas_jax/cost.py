"""MAdds and parameters of operators, of the macro network and of what is between.

MAdds are multiply-adds of convolutions and fully connected layers; batch norm, ReLU,
pooling and biases count nothing. Parameters exclude the auxiliary head, which only
retraining has. Plain integers, no JAX.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ifnas_jax.errors import InputError

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
      width: channels C of the first stage; the next two have 2C and 4C.
      num_classes: outputs of the classifier.
      image_size: height and width of the input, in pixels.
      channels: of the input image.
      stem: "imagenet" (three halvings before the first stage) or "small" (none).
    """

    width: int
    num_classes: int
    image_size: int
    channels: int
    stem: str

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
        multiple = 4 * STEM_STRIDES[self.stem]
        if self.image_size % multiple:
            raise InputError(
                f"image_size is {self.image_size}, but stem {self.stem!r} with "
                f"two more halvings takes multiples of {multiple}; resize the images "
                f"to {-(-self.image_size // multiple) * multiple}, or use another stem."
            )

    def at_width(self, width: int) -> "Macro":
        """The same sizes with another C."""
        return dataclasses.replace(self, width=width)

    @property
    def stage_widths(self) -> tuple[int, int, int]:
        """Channels of the nodes of each stage."""
        return self.width, 2 * self.width, 4 * self.width

    @property
    def stage_sizes(self) -> tuple[int, int, int]:
        """Height and width, in pixels, of the nodes of each stage."""
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


def sep_conv_3x3(size: int, width: int) -> Cost:
    """Two `sep` in a row."""
    return sep(size, width, width) + sep(size, width, width)


def skip_connect(size: int, width: int) -> Cost:
    """The identity."""
    del size, width
    return Cost(0, 0)


OPERATORS: Mapping[str, Callable[[int, int], Cost]] = {
    "sep_conv_3x3": sep_conv_3x3,
    "skip_connect": skip_connect,
}


def operator_costs(macro: Macro, operators: Sequence[str]) -> list[list[Cost]]:
    """The cost of each operator in each stage: [stage][operator].

    Raises:
      InputError: an operator is not known.
    """
    for name in operators:
        if name not in OPERATORS:
            raise InputError(
                f"operator {name!r} is unknown; choose from {sorted(OPERATORS)}."
            )
    return [
        [OPERATORS[name](size, width) for name in operators]
        for size, width in zip(macro.stage_sizes, macro.stage_widths, strict=True)
    ]


def _shortcut(size: int, inputs: int, outputs: int) -> Cost:
    """1×1 convolution of stride 2 and batch norm; `size` is the input's."""
    return conv(size // 2, 1, inputs, outputs) + norm(outputs)


def fixed_cost(macro: Macro) -> Cost:
    """All that is no searched node: stem, stage inputs and classifier."""
    first, second, third = macro.stage_widths
    size1, size2, size3 = macro.stage_sizes
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
    classes = macro.num_classes
    classifier = Cost(features * classes, features * classes + classes)
    return stem + inputs + head + classifier


def network_cost(
    macro: Macro, operators: Sequence[str], kept: Sequence[np.ndarray]
) -> Cost:
    """The cost of a network that keeps some (edge, operator) pairs.

    Args:
      macro: the sizes.
      operators: names, in the order of the last axis of `kept`.
      kept: one bool array [..., operators] for each stage.

    Returns:
      MAdds for one image and parameters, fixed parts included.
    """
    total = fixed_cost(macro)
    costs = operator_costs(macro, operators)
    for stage_costs, stage in zip(costs, kept, strict=True):
        counts = stage.reshape(-1, len(operators)).sum(axis=0)
        for cost, count in zip(stage_costs, counts, strict=True):
            total += Cost(cost.madds * int(count), cost.params * int(count))
    return total
