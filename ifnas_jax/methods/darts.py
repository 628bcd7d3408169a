"""DARTS: softmax over an edge's operators, learned on the other half of the data.

Liu et al., DARTS: Differentiable Architecture Search. `darts.order` 1 takes the
gradient of α at the present weights; 2 takes it through one virtual step of them, with
the exact Hessian-vector product (`bilevel.py`).
"""

from ml_collections import ConfigDict

from ifnas_jax.architecture.cost import Macro
from ifnas_jax.architecture.masks import Kept, Masks
from ifnas_jax.methods import relaxation
from ifnas_jax.methods.interface import Arch, Gates, Method
from ifnas_jax.spaces.graph import Space


def darts(config: ConfigDict, space: Space, macro: Macro) -> Method:
    """The method; `config.darts.order` and `config.bilevel` have its constants."""
    del macro

    def weights(arch: Arch, masks: Masks):
        logs = [
            relaxation.softmax_logs(alpha, stage.active)
            for alpha, stage in zip(arch["alpha"], masks, strict=True)
        ]
        return relaxation.weights(logs, masks, space, config.relaxation.node_scale)

    return Method(
        **relaxation.one_logit_an_operator(config, space),
        weights=weights,
        gates=softmax_gates,
        order=config.darts.order,
    )


def softmax_gates(arch: Arch, kept: Kept) -> Gates:
    """The softmax weight of each operator; an edge's is its strongest operator's."""
    alpha = tuple(
        relaxation.softmax(logits, on)
        for logits, on in zip(arch["alpha"], kept, strict=True)
    )
    return Gates(tuple(stage.max(axis=2) for stage in alpha), alpha, alpha)
