"""What a search method decides."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from ifnas_jax.architecture.masks import Kept, Masks
from ifnas_jax.methods.regularizer import Strength
from ifnas_jax.methods.removal import Removal
from ifnas_jax.methods.schedule import SearchSchedule

# Architecture parameters: for each name, such as "beta" or "alpha", one array
# [N, L, ...] a stage.
Arch = dict[str, tuple[jax.Array, ...]]


class Gates(NamedTuple):
    """How strong edges and operators are, on the host, for each stage.

    Attributes:
      beta: of the edges, [N, L].
      alpha: of the operators on their edge, [N, L, operators].
      strength: of each pair, by which derivations rank it, [N, L, operators].
    """

    beta: tuple[np.ndarray, ...]
    alpha: tuple[np.ndarray, ...]
    strength: tuple[np.ndarray, ...]


class Event(NamedTuple):
    """What happened at the end of a loop, for the strength of the next one's penalty.

    Attributes:
      step: updates applied.
      before: MAdds of the retained architecture before the pruning.
      after: MAdds after it.
      removed: pairs that were removed.
    """

    step: int
    before: int
    after: int
    removed: int


def no_penalty(arch: Arch, masks: Masks, mu: jax.Array) -> float:
    """No term but the loss."""
    del arch, masks, mu
    return 0.0


def zero_mu(schedule: SearchSchedule, strength: Strength, step: int) -> np.ndarray:
    """Of a method without a strength that changes."""
    del schedule, strength, step
    return np.zeros(2, np.float32)


def same_strength(
    schedule: SearchSchedule, strength: Strength, event: Event
) -> Strength:
    """Of a method without a strength that changes."""
    del schedule, event
    return strength


class Method(NamedTuple):
    """A method, as functions; pure, and free of processes and devices.

    Attributes:
      masks: (kept, number of the loop) -> the masks of the loop's sampling steps,
        stacked.
      init: rng -> architecture parameters.
      weights: (arch, masks of one step) -> what multiplies each operator's output,
        [N, L, operators] a stage.
      gates: (arch on the host, kept) -> Gates.
      moves: (masks of one step, step, schedule) -> which architecture parameters move:
        a tree like them, of bools.
      penalty: (arch, masks of one step, (μ1, μ2)) -> what is added to the loss of the
        architecture parameters.
      strength: of the penalty at first.
      mu: (schedule, strength, step) -> (μ1, μ2) of the sampling step that begins there.
      next_strength: (schedule, strength, Event) -> strength.
      prune: (kept, gates) -> (kept, removals), at the end of a loop; None if nothing is
        removed while searching.
      order: 0: a step's batch moves weights and architecture; 1 or 2: bi-level, of
        that order: a batch of the other half of the data moves the architecture.
      wrap: (operator, its stride) -> operator; both are Linen modules. None: as it is.
      width: (width of a stage) -> width at which wrapped operators compute.
      draw: (seed of a draw, ...) -> kept, an architecture drawn at random; None if the
        method draws none.
      trains: whether there is a super-network at all; if not, `draw` alone decides.
    """

    masks: Callable[[Kept, int], Masks]
    init: Callable[[jax.Array], Arch]
    weights: Callable[[Arch, Masks], Sequence[jax.Array]]
    gates: Callable[[Any, Kept], Gates]
    moves: Callable[[Masks, Any, SearchSchedule], Any]
    penalty: Callable[[Arch, Masks, jax.Array], jax.Array | float] = no_penalty
    strength: Strength = Strength(0.0, 0.0)
    mu: Callable[[SearchSchedule, Strength, int], np.ndarray] = zero_mu
    next_strength: Callable[[SearchSchedule, Strength, Event], Strength] = same_strength
    prune: Callable[[Kept, Gates], tuple[Kept, list[Removal]]] | None = None
    order: int = 0
    wrap: Callable[[nn.Module, int], nn.Module] | None = None
    width: Callable[[int], int] = lambda width: width
    draw: Callable[..., Kept] | None = None
    trains: bool = True
