"""A derived chain and its train step in PyTorch, to compare with. Needs torch.

The same network with the same weights, auxiliary head and running statistics included,
as a PyTorch user would write its forward pass.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from benchmarks.torch_counterpart import conv, leaves, norm, reduction, sep, tensors
from ifnas_jax.architecture import Architecture


def _merged(first: Mapping, second: Mapping) -> dict[str, Any]:
    """Two trees as one; where both have a key, it holds a tree in both."""
    both = {key: _merged(first[key], second[key]) for key in first.keys() & second}
    return {**first, **second, **both}


class DerivedCounterpart:
    """A derived chain and its optimiser."""

    def __init__(
        self,
        architecture: Architecture,
        variables: Mapping[str, Any],
        fields: Mapping[str, float],
        channels_last: bool,
    ):
        """Copies a network.

        Args:
          architecture: a chain.
          variables: "params" and "batch_stats", NumPy arrays.
          fields: of the config's `retrain`, the numbers of loss and optimiser.
          channels_last: the layout of images and kernels in memory.
        """
        self._architecture, self._fields = architecture, fields
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        params = tensors(variables["params"])
        statistics = tensors(variables["batch_stats"], trained=False)
        self._own = leaves(params)
        for leaf in self._own:
            if leaf.ndim == 4:
                leaf.data = leaf.data.contiguous(memory_format=self._format)
        self._tree = _merged(params, statistics)
        self._optimizer = torch.optim.SGD(
            self._own,
            fields["learning_rate"],
            fields["momentum"],
            weight_decay=fields["weight_decay"],
        )
        self._compiled: Callable | None = None

    def batch(self, images: np.ndarray, labels: np.ndarray):
        """Images [batch, height, width, channels] and labels, as PyTorch has them."""
        images = torch.tensor(images.transpose(0, 3, 1, 2).copy())
        images = images.contiguous(memory_format=self._format)
        return images, torch.tensor(labels, dtype=torch.int64)

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of a batch, in training mode."""
        return self._both(images)[0]

    def _both(self, images):
        """Logits, and those of the auxiliary head or None."""
        p, x, auxiliary = self._tree, images, None
        if self._architecture.macro.stem == "small":
            x = conv(p["stem"]["conv"], x)
        else:
            x = conv(p["stem"]["conv"], x, 2)
            x = reduction(p["stem"]["reduction1"], x)
            x = reduction(p["stem"]["reduction2"], x)
        for index in range(len(self._architecture.stages)):
            inputs = p[f"input{index + 1}"]
            x = (
                x + sep(inputs["sep"], x)
                if index == 0
                else reduction(inputs["reduction"], x)
            )
            x = self._stage(index, x)
            if index == 1 and "auxiliary" in p:
                auxiliary = self._auxiliary(x)
        classifier = p["classifier"]
        x = F.relu(norm(classifier["norm"], sep(classifier["sep"], x))).mean((2, 3))
        return self._dense(classifier, x), auxiliary

    @staticmethod
    def _dense(p, x):
        return F.linear(x, p["dense"]["kernel"], p["dense"]["bias"])

    def _auxiliary(self, x):
        p, x = self._tree["auxiliary"], F.max_pool2d(x, 3, stride=2, padding=1)
        x = F.conv2d(x, p["Conv_0"]["kernel"], p["Conv_0"]["bias"])
        x = F.avg_pool2d(F.relu(x), 5, stride=2)
        x = F.relu(conv(p["conv2"], x))
        x = F.relu(F.conv2d(x, p["conv3"]["kernel"], p["conv3"]["bias"]))
        return self._dense(p, x.flatten(1))

    def _stage(self, index: int, x: torch.Tensor) -> torch.Tensor:
        stage, outputs = self._architecture.stages[index], {0: x}
        for node in stage.nodes():
            total = None
            for edge in stage.inputs(node):
                for op in edge.ops:
                    y = outputs[edge.src]
                    if op == "sep_conv_3x3":
                        name = f"stage{index + 1}_{edge.src}_{node}_{op}"
                        pair = self._tree[name]
                        y = sep(pair["sep2"], sep(pair["sep1"], y))
                    total = y if total is None else total + y
            outputs[node] = total
        return outputs[node]

    def loss(self, images, labels) -> torch.Tensor:
        """Cross entropy with smoothed labels, and the auxiliary head's."""
        smoothing = self._fields["label_smoothing"]
        logits, auxiliary = self._both(images)
        loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        if auxiliary is not None:
            extra = F.cross_entropy(auxiliary, labels, label_smoothing=smoothing)
            loss = loss + self._fields["auxiliary_weight"] * extra
        return loss

    def compiled(self, case: str) -> Callable:
        """`step` whose loss is compiled; there is one case."""
        del case
        if self._compiled is None:
            self._compiled = torch.compile(self.loss, dynamic=False)
        return lambda batch: self.step(batch, self._compiled)

    def step(self, batch: tuple, loss: Callable | None = None) -> torch.Tensor:
        """One update; the loss."""
        self._optimizer.zero_grad(set_to_none=True)
        value = (loss or self.loss)(*batch)
        value.backward()
        torch.nn.utils.clip_grad_norm_(self._own, self._fields["clip"])
        self._optimizer.step()
        return value.detach()
