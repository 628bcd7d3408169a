"""The chains' super-network and its train step in PyTorch, to compare with.

The same network with the same weights, written as a PyTorch user would: autograd over
a Python loop in which inactive pairs are skipped. Needs torch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from benchmarks import torch_steps


def tensors(tree: Any, device: str) -> Any:
    """A tree of JAX arrays in PyTorch's layouts, with gradients."""
    if isinstance(tree, Mapping):
        return {key: tensors(value, device) for key, value in tree.items()}
    if isinstance(tree, Sequence):
        return [tensors(value, device) for value in tree]
    array = np.asarray(tree)
    if array.ndim == 4:  # A convolution: HWIO to OIHW.
        array = array.transpose(3, 2, 0, 1)
    elif array.ndim == 2:
        array = array.T
    return torch.tensor(array.copy(), requires_grad=True, device=device)


def leaves(tree: Any) -> list[torch.Tensor]:
    """The tensors of a tree."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    parts = tree.values() if isinstance(tree, Mapping) else tree
    return [leaf for part in parts for leaf in leaves(part)]


def _pair(stacked: Any, row: int, column: int) -> Any:
    """One edge's parameters of a tree of arrays [N, L, ...]."""
    if isinstance(stacked, Mapping):
        return {key: _pair(value, row, column) for key, value in stacked.items()}
    return np.asarray(stacked)[row, column]


def norm(p, x):
    """Batch norm with the statistics of the batch."""
    return F.batch_norm(x, None, None, p["scale"], p["bias"], True)


def conv(p, x, stride=1):
    """Convolution and batch norm."""
    kernel = p["conv"]["kernel"]
    if kernel.ndim == 2:
        kernel = kernel[:, :, None, None]
    side = kernel.shape[-1] // 2
    return norm(p["norm"], F.conv2d(x, kernel, stride=stride, padding=side))


def sep(p, x):
    """ReLU, depthwise, pointwise, batch norm."""
    kernel = p["depthwise"]["kernel"]
    x = F.conv2d(F.relu(x), kernel, padding=1, groups=len(kernel))
    return norm(p["norm"], F.conv2d(x, p["point"]["kernel"][:, :, None, None]))


def reduction(p, x):
    """Separable convolutions and a pool, beside a convolution of stride 2."""
    path = x
    for name in sorted(name for name in p if name.startswith("sep")):
        path = sep(p[name], path)
    return F.max_pool2d(path, 3, stride=2, padding=1) + conv(p["shortcut"], x, 2)


class Counterpart:
    """The super-network of a chain with the small stem, and its optimisers."""

    def __init__(
        self,
        state: Any,
        fields: Mapping[str, float],
        device: str,
        dtype: str,
        channels_last: bool,
    ):
        """Copies a search's state.

        Args:
          state: {"params", "arch"} at step 0, NumPy arrays.
          fields: of the config's `search`, the numbers of the optimisers.
          device: "cpu" or "cuda".
          dtype: "float32", or what autocast computes in.
          channels_last: the layout of images and kernels in memory.
        """
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self._device, self._dtype = device, dtype
        params = dict(state["params"])
        stages = params.pop("stages")
        params.pop("strided")
        self._fixed = tensors(params, device)
        self._pairs = [
            [
                [
                    tensors(_pair(stage["sep_conv_3x3"], row, column), device)
                    for column in range(alpha.shape[1])
                ]
                for row in range(alpha.shape[0])
            ]
            for stage, alpha in zip(stages, state["arch"]["alpha"], strict=True)
        ]
        self.arch = {
            name: [
                torch.tensor(np.asarray(x), requires_grad=True, device=device)
                for x in logits
            ]
            for name, logits in state["arch"].items()
        }
        for leaf in (own := leaves([self._fixed, self._pairs])):
            if leaf.ndim == 4:
                leaf.data = leaf.data.contiguous(memory_format=self.layout)
        self.clip, self.clipped = fields["clip"], own
        self.optimizers = tuple(
            torch.optim.SGD(
                parameters,
                fields[f"{prefix}learning_rate"],
                fields[f"{prefix}momentum"],
                weight_decay=fields[f"{prefix}weight_decay"],
            )
            for prefix, parameters in (("", own), ("arch_", leaves(self.arch)))
        )

    def place(self, masks: Any) -> list[tuple]:
        """Masks of one step, on the device: which pairs, and what multiplies them."""
        placed = []
        for stage in masks:
            active, gated = (
                torch.tensor(np.asarray(x), device=self._device)
                for x in (stage.active, stage.gated)
            )
            placed.append((np.asarray(stage.active), active, gated))
        return placed

    def logits(self, images: torch.Tensor, masks: Any) -> torch.Tensor:
        """Logits of a batch, with `masks` as `place` returns them."""
        fixed, x = self._fixed, conv(self._fixed["stem"]["conv"], images)
        for index, mask in enumerate(masks):
            inputs = fixed["inputs"][index]
            x = (
                x + sep(inputs["sep"], x)
                if index == 0
                else reduction(inputs["reduction"], x)
            )
            x = self._stage(index, mask, x)
        classifier = fixed["classifier"]
        x = F.relu(norm(classifier["norm"], sep(classifier["sep"], x))).mean((2, 3))
        return F.linear(x, classifier["dense"]["kernel"], classifier["dense"]["bias"])

    def _stage(self, index: int, mask: Any, x: torch.Tensor) -> torch.Tensor:
        weights, nodes = self._node_weights(index, mask), [x]
        for row, node in enumerate(mask[0]):
            total = None
            for column, op in zip(*np.nonzero(node), strict=True):
                y = nodes[row - column]
                if op == 0:
                    pair = self._pairs[index][row][column]
                    y = sep(pair["sep2"], sep(pair["sep1"], y))
                # In the map's dtype, or autocast would make it float32.
                weight = weights[row, column, op].to(y.dtype)
                total = y * weight if total is None else total.addcmul(y, weight)
            nodes.append(total)
        return nodes[-1]

    def _node_weights(self, index: int, mask: Any) -> torch.Tensor:
        """Gates over their nodes' totals, and 1 outside the group.

        That is `node_scale` "unit" and `backbone` "constant".
        """
        _, active, gated = mask
        gates = torch.sigmoid(self.arch["beta"][index])[:, :, None] * torch.sigmoid(
            self.arch["alpha"][index]
        )
        gates = gates * active
        total = (gates.sum(2) / active.sum(2).clamp(min=1)).sum(1).detach()
        gated = gated[:, None, None]
        scaled = gates / total.clamp(min=1e-30)[:, None, None]
        return torch.where(gated, scaled, 1.0) * active

    def loss(self, images, labels, masks: Any) -> torch.Tensor:
        """Mean cross entropy."""
        with torch_steps.autocast(self._device, self._dtype):
            return F.cross_entropy(self.logits(images, masks), labels)
