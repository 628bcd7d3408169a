"""A derived network and its train step in PyTorch, to compare with. Needs torch.

The network is what `ifnas_jax.export` writes for users of PyTorch, with the same
weights, auxiliary head and running statistics included.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from benchmarks import torch_steps
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
        device: str,
        dtype: str,
        channels_last: bool,
    ):
        """Copies a network.

        Args:
          architecture: of the network.
          variables: "params" and "batch_stats", NumPy arrays.
          fields: of the config's `retrain`, the numbers of loss and optimiser.
          device: "cpu" or "cuda".
          dtype: "float32", or what autocast computes in.
          channels_last: the layout of images and kernels in memory.
        """
        self._fields = fields
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self._device, self._dtype = device, dtype
        self._module = make_module(architecture, variables)
        self._module.to(device, memory_format=self.layout)
        self.clip, self.clipped = fields["clip"], list(self._module.parameters())
        optimizer = torch.optim.SGD(
            self.clipped,
            fields["learning_rate"],
            fields["momentum"],
            weight_decay=fields["weight_decay"],
        )
        self.optimizers = (optimizer,)

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
        with torch_steps.autocast(self._device, self._dtype):
            logits, auxiliary = self._both(images)
            loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
            if auxiliary is not None:
                extra = F.cross_entropy(auxiliary, labels, label_smoothing=smoothing)
                loss = loss + self._fields["auxiliary_weight"] * extra
        return loss
