"""A derived network and its train step in PyTorch, to compare with. Needs torch.

The network is what `ifnas_jax.export` writes for users of PyTorch, with the same
weights, auxiliary head and running statistics included.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from ifnas_jax.architecture import Architecture
from ifnas_jax.formats import torch_source


def make_module(architecture: Architecture, variables: Mapping[str, Any]):
    """The exported network with its weights, in training mode.

    Args:
      architecture: of the network.
      variables: "params" and "batch_stats", NumPy arrays.
    """
    ones = (1.0,) * architecture.macro.channels
    auxiliary = "auxiliary" in variables["params"]
    source = torch_source.network_source(architecture, "", ones, ones, auxiliary)
    module = torch_source.load(source).make_network()
    state = torch_source.state_dict(variables)
    # A copy: training writes to it.
    module.load_state_dict({name: torch.tensor(x) for name, x in state.items()})
    return module


class DerivedCounterpart:
    """A derived network and its optimiser."""

    def __init__(
        self,
        architecture: Architecture,
        variables: Mapping[str, Any],
        fields: Mapping[str, float],
        channels_last: bool,
    ):
        """Copies a network.

        Args:
          architecture: of the network.
          variables: "params" and "batch_stats", NumPy arrays.
          fields: of the config's `retrain`, the numbers of loss and optimiser.
          channels_last: the layout of images and kernels in memory.
        """
        self._fields = fields
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._module = make_module(architecture, variables)
        self._module.to(memory_format=self._format)
        self._optimizer = torch.optim.SGD(
            self._module.parameters(),
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
        logits = self._module(images)
        return logits if isinstance(logits, tuple) else (logits, None)

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
        torch.nn.utils.clip_grad_norm_(self._module.parameters(), self._fields["clip"])
        self._optimizer.step()
        return value.detach()
