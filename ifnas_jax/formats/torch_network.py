"""The derived network in PyTorch, which is no dependency of this package.

Nothing here imports this file: `torch_source` copies from it and from `torch_parts.py`
what a network needs. Its parts have the names of the Flax modules' parameters.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from ifnas_jax.formats.torch_parts import (
    ConvNorm,
    FactorizedReduce,
    Reduction,
    Residual,
    Sep,
    Stage,
)


class SmallStem(nn.Module):
    """One convolution; keeps the size."""

    def __init__(self, channels, width):
        super().__init__()
        self.conv = ConvNorm(channels, width, 3)

    def forward(self, images):
        """[batch, channels, size, size] to [batch, width, size, size]."""
        return self.conv(images)


class ImageNetStem(nn.Module):
    """Halves the size three times."""

    def __init__(self, channels, width):
        super().__init__()
        self.conv = ConvNorm(channels, 32, 3, stride=2)
        self.reduction1 = Reduction(32, 48, depth=2)
        self.reduction2 = Reduction(48, width, depth=2)

    def forward(self, images):
        """[batch, channels, size, size] to [batch, width, size / 8, size / 8]."""
        return self.reduction2(self.reduction1(self.conv(images)))


class Classifier(nn.Module):
    """`Sep`, batch norm, ReLU, average pool, fully connected."""

    def __init__(self, width, num_classes):
        super().__init__()
        self.sep = Sep(width, 4 * width)
        self.norm = nn.BatchNorm2d(4 * width)
        self.dense = nn.Linear(4 * width, num_classes)

    def forward(self, x):
        """[batch, width, h, w] to logits [batch, classes]."""
        return self.dense(F.relu(self.norm(self.sep(x))).mean((2, 3)))


class Auxiliary(nn.Module):
    """A second classifier, in the middle, whose loss helps training."""

    def __init__(self, width, num_classes):
        super().__init__()
        self.conv2 = ConvNorm(width, 128, 1)
        self.conv3 = nn.Conv2d(128, 768, 2)
        self.dense = nn.Linear(768, num_classes)

    def forward(self, x):
        """[batch, width, 7, 7] (or 8, 8) to logits [batch, classes]."""
        x = F.avg_pool2d(F.relu(x), 5, stride=2)
        x = F.relu(self.conv3(F.relu(self.conv2(x))))
        return self.dense(x.flatten(1))


class ChainAuxiliary(Auxiliary):
    """Halves the size first."""

    def __init__(self, width, num_classes):
        super().__init__(2 * width, num_classes)
        self.conv1 = nn.Conv2d(width, 2 * width, 1)

    def forward(self, x):
        """[batch, width, 14, 14] (or 13 to 16) to logits [batch, classes]."""
        return super().forward(self.conv1(F.max_pool2d(x, 3, stride=2, padding=1)))


class Chain(nn.Module):
    """Three stages, the second and third at half the size and twice the width."""

    def __init__(self, stem, stages, width, num_classes, auxiliary):
        super().__init__()
        widths = [width, 2 * width, 4 * width]
        self.stem = stem
        self.inputs = nn.ModuleList(
            [
                Residual(width),
                Reduction(width, 2 * width),
                Reduction(2 * width, 4 * width),
            ]
        )
        self.stages = nn.ModuleList(
            Stage(nodes, w) for nodes, w in zip(stages, widths, strict=True)
        )
        self.classifier = Classifier(widths[2], num_classes)
        self.auxiliary = ChainAuxiliary(widths[1], num_classes) if auxiliary else None

    def forward(self, images):
        """[batch, channels, size, size] to logits [batch, classes].

        In training mode with an auxiliary head, a pair of logits: its own come second.
        """
        x, auxiliary = self.stem(images), None
        for index, (given, stage) in enumerate(
            zip(self.inputs, self.stages, strict=True)
        ):
            x = stage(given(x))[-1]
            if index == 1 and self.auxiliary is not None and self.training:
                auxiliary = self.auxiliary(x)
        logits = self.classifier(x)
        return logits if auxiliary is None else (logits, auxiliary)


class SmallCellStem(nn.Module):
    """One convolution; keeps the size. The first cell is given its output twice."""

    halves = False

    def __init__(self, channels, width):
        super().__init__()
        self.channels = 3 * width
        self.conv = ConvNorm(channels, 3 * width, 3)

    def forward(self, images):
        """[batch, channels, size, size] to two times [batch, 3 width, size, size]."""
        x = self.conv(images)
        return x, x


class ImageNetCellStem(nn.Module):
    """Halves the size three times; the outputs of the last two are given on."""

    halves = True

    def __init__(self, channels, width):
        super().__init__()
        self.channels = width
        self.conv1 = ConvNorm(channels, width // 2, 3, stride=2)
        self.conv2 = ConvNorm(width // 2, width, 3, stride=2)
        self.conv3 = ConvNorm(width, width, 3, stride=2)

    def forward(self, images):
        """[batch, channels, size, size] to two maps, of size / 4 and size / 8."""
        x = self.conv2(F.relu(self.conv1(images)))
        return x, self.conv3(F.relu(x))


class CellInput(nn.Module):
    """Nodes -1 and 0 of a cell, from the outputs of the two cells before it."""

    def __init__(self, before_last, last, width, halved):
        super().__init__()
        self.before_last = (
            FactorizedReduce(before_last, width)
            if halved
            else ConvNorm(before_last, width, 1)
        )
        self.last = ConvNorm(last, width, 1)

    def forward(self, before_last, last):
        """Two maps to two [batch, width, h, w], of the size of `last`."""
        return self.before_last(F.relu(before_last)), self.last(F.relu(last))


class CellClassifier(nn.Module):
    """Average pool, fully connected."""

    def __init__(self, width, num_classes):
        super().__init__()
        self.dense = nn.Linear(width, num_classes)

    def forward(self, x):
        """[batch, width, h, w] to logits [batch, classes]."""
        return self.dense(x.mean((2, 3)))


class CellNetwork(nn.Module):
    """Cells in a row, each of which reads the two before it.

    Those at 1/3 and 2/3 of the depth halve the size and double the width. A cell's
    output is all of its nodes, concatenated.
    """

    def __init__(self, stem, cells, width, num_classes, auxiliary):
        super().__init__()
        self.stem, halved = stem, stem.halves
        self.inputs, self.stages = nn.ModuleList(), nn.ModuleList()
        before_last = last = stem.channels
        reductions = len(cells) // 3, 2 * len(cells) // 3
        self.second_reduction = reductions[1]
        for index, nodes in enumerate(cells):
            reduces = index in reductions
            width = 2 * width if reduces else width
            self.inputs.append(CellInput(before_last, last, width, halved))
            self.stages.append(Stage(nodes, width, stride=2 if reduces else 1))
            before_last, last, halved = last, len(nodes) * width, reduces
        self.classifier = CellClassifier(last, num_classes)
        self.auxiliary = None
        if auxiliary:
            branch = len(cells[reductions[1]]) * width
            self.auxiliary = Auxiliary(branch, num_classes)

    def forward(self, images):
        """[batch, channels, size, size] to logits [batch, classes].

        In training mode with an auxiliary head, a pair of logits: its own come second.
        """
        (before_last, last), auxiliary = self.stem(images), None
        for index, (given, cell) in enumerate(
            zip(self.inputs, self.stages, strict=True)
        ):
            nodes = cell(*given(before_last, last))
            before_last, last = last, torch.cat(nodes, dim=1)
            branches = index == self.second_reduction and self.training
            if branches and self.auxiliary is not None:
                auxiliary = self.auxiliary(last)
        logits = self.classifier(last)
        return logits if auxiliary is None else (logits, auxiliary)
