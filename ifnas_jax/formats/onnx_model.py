"""A trained network as ONNX, by PyTorch's own exporter. Needs torch and onnxscript."""

from collections.abc import Mapping

import numpy as np
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch import nn

from ifnas_jax.formats import torch_source


class _FromPixels(nn.Module):
    """Normalises, then classifies."""

    def __init__(self, module):
        super().__init__()
        self.network = module.make_network()
        for name, values in (("mean", module.MEAN), ("std", module.STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None])

    def forward(self, images):
        """[batch, channels, size, size] of values in [0, 1] to logits."""
        return self.network((images - self.mean) / self.std)


def serialized(
    source: str, state: Mapping[str, np.ndarray], facts: Mapping[str, str]
) -> bytes:
    """The network with its weights, for any batch size.

    It takes "images", float32 [batch, channels, size, size] of values in [0, 1], and
    returns "logits", float32 [batch, classes].

    Args:
      source: the text of `network.py`.
      state: its `state_dict`, of `torch_source`.
      facts: what the model's metadata say.
    """
    module = torch_source.load(source)
    model = _FromPixels(module)
    tensors = {name: torch.from_numpy(array) for name, array in state.items()}
    model.network.load_state_dict(tensors)
    images = torch.zeros(2, module.CHANNELS, module.IMAGE_SIZE, module.IMAGE_SIZE)
    program = torch.onnx.export(
        model.eval(),
        (images,),
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    # Where in which file each operation comes from, on this machine.
    ClearMetadataAndDocStringPass()(program.model)
    program.model.metadata_props.update(facts)
    return program.model_proto.SerializeToString(deterministic=True)
