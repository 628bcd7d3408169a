"""Two disjoint halves of the training part, for bi-level search.

The weights train on one and the architecture on the other, so that it is judged on
examples that the weights have not seen.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ifnas_jax.data.views import Picked
from ifnas_jax.errors import InputError


def halves(source: Sequence, seed: int) -> tuple[Picked, Picked]:
    """The examples of a source, split at random; each in exactly one half.

    Raises:
      InputError: there are fewer than two.
    """
    if len(source) < 2:
        raise InputError(
            f"the training part has {len(source)} examples, which can't be halved for "
            "a bi-level method: lower dataset.valid_fraction."
        )
    # Not the stream that shuffles an epoch.
    order = np.random.default_rng([seed, 2**32]).permutation(len(source))
    middle = len(source) // 2
    return Picked(source, order[:middle]), Picked(source, order[middle:])


class Paired:
    """Two streams of batches as one: the second's batch is inside, as "arch"."""

    def __init__(self, weights: Any, arch: Any):
        self._weights, self._arch = weights, arch

    def __next__(self) -> dict[str, Any]:
        return {**next(self._weights), "arch": next(self._arch)}

    def close(self) -> None:
        """Stops reading ahead."""
        self._weights.close()
        self._arch.close()
