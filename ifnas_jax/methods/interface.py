"""What a search method decides."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ifnas_jax.masks import Kept, Masks

# Architecture parameters: {"beta": [N, L] a stage, "alpha": [N, L, operators] a stage}.
Arch = dict[str, tuple[jax.Array, ...]]


class Gates(NamedTuple):
    """Gates on the host, for each stage: edges [N, L], operators [N, L, operators]."""

    beta: tuple[np.ndarray, ...]
    alpha: tuple[np.ndarray, ...]

    def strength(self) -> tuple[np.ndarray, ...]:
        """g(β)·g(α) of each pair, [N, L, operators] a stage."""
        return tuple(
            b[:, :, None] * a for b, a in zip(self.beta, self.alpha, strict=True)
        )


class Method(NamedTuple):
    """A method, as functions; pure, and free of processes and devices.

    Attributes:
      init: rng -> architecture parameters.
      masks: kept -> the masks of the loop's sampling steps, stacked. Entry 0 is the
        whole super-network.
      weights: (arch, masks of one step) -> what multiplies each operator's output,
        [N, L, operators] a stage.
      penalty: (arch, masks of one step) -> the two sums of the regulariser.
      gates: (arch on the host) -> Gates.
    """

    init: Callable[[jax.Array], Arch]
    masks: Callable[[Kept], Masks]
    weights: Callable[[Arch, Masks], Sequence[jax.Array]]
    penalty: Callable[[Arch, Masks], tuple[jax.Array, jax.Array]]
    gates: Callable[[Any], Gates]
