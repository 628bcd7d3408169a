"""Operators, stages and other parts that `torch_network.py` is made of."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


class ConvNorm(nn.Module):
    """A convolution, then batch norm."""

    def __init__(self, inputs, outputs, kernel, stride=1):
        super().__init__()
        side = kernel // 2
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, side, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x):
        """[batch, inputs, height, width] to [batch, outputs, h, w]."""
        return self.norm(self.conv(x))


class Sep(nn.Module):
    """ReLU, depthwise 3×3, pointwise 1×1, batch norm."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.depthwise = nn.Conv2d(
            inputs, inputs, 3, stride, padding=1, groups=inputs, bias=False
        )
        self.point = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x):
        """[batch, inputs, height, width] to [batch, outputs, h, w]."""
        return self.norm(self.point(self.depthwise(F.relu(x))))


class SepConv3x3(nn.Module):
    """`Sep` twice; the first has the stride."""

    def __init__(self, width, stride):
        super().__init__()
        self.sep1 = Sep(width, width, stride)
        self.sep2 = Sep(width, width)

    def forward(self, x):
        """[batch, width, height, width] to the same, or half the size."""
        return self.sep2(self.sep1(x))


class FactorizedReduce(nn.Module):
    """Half the size: a convolution on the even pixels and one on the odd ones."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.even = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x):
        """[batch, inputs, 2h, 2w] to [batch, outputs, h, w]."""
        halves = self.even(x), self.odd(x[:, :, 1:, 1:])
        return self.norm(torch.cat(halves, dim=1))


class SkipConnect(nn.Module):
    """The identity, or where the size is halved, ReLU and `FactorizedReduce`."""

    def __init__(self, width, stride):
        super().__init__()
        self.reduce = FactorizedReduce(width, width) if stride == 2 else None

    def forward(self, x):
        """[batch, width, height, width] to the same, or half the size."""
        return x if self.reduce is None else self.reduce(F.relu(x))


OPERATORS = {"sep_conv_3x3": SepConv3x3, "skip_connect": SkipConnect}


class Stage(nn.Module):
    """A graph of nodes, each the sum of operators on nodes before it.

    `nodes` is {node: [(source, operator), ...]}. Node 0 is the input, and where there
    are two, node -1 is the other; edges that leave an input have the stride.
    """

    def __init__(self, nodes, width, stride=1):
        super().__init__()
        self.edges = [
            (source, node, f"{source}_{node}_{operator}", operator)
            for node, terms in nodes.items()
            for source, operator in terms
        ]
        self.operators = nn.ModuleDict(
            {
                key: OPERATORS[operator](width, stride if source <= 0 else 1)
                for source, _, key, operator in self.edges
            }
        )

    def forward(self, *inputs):
        """The inputs, in order, to a list of all searched nodes, in order."""
        values = {1 - len(inputs) + place: x for place, x in enumerate(inputs)}
        for source, node, key, _ in self.edges:
            y = self.operators[key](values[source])
            values[node] = values[node] + y if node in values else y
        return [value for node, value in values.items() if node > 0]


class Reduction(nn.Module):
    """Half the size: [one or two `Sep`, max pool] + [1×1 convolution]."""

    def __init__(self, inputs, outputs, depth=1):
        super().__init__()
        self.sep1 = Sep(inputs, outputs)
        self.sep2 = Sep(outputs, outputs) if depth == 2 else nn.Identity()
        self.shortcut = ConvNorm(inputs, outputs, 1, stride=2)

    def forward(self, x):
        """[batch, inputs, 2h, 2w] to [batch, outputs, h, w]."""
        path = F.max_pool2d(self.sep2(self.sep1(x)), 3, stride=2, padding=1)
        return path + self.shortcut(x)


class Residual(nn.Module):
    """`Sep` beside the identity."""

    def __init__(self, width):
        super().__init__()
        self.sep = Sep(width, width)

    def forward(self, x):
        """[batch, width, height, width] to the same."""
        return x + self.sep(x)
