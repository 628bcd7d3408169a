"""What is read off one search: how far its gates are decided, and what they decide."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax.architecture import Architecture, from_kept
from ifnas_jax.architecture.masks import Kept, Masks
from ifnas_jax.methods import derivations, make_method
from ifnas_jax.spaces.graph import Space
from ifnas_jax.spaces.interleaving import count_interleaved

Row = Mapping[str, Any]


def strengths(row: Row) -> list[np.ndarray]:
    """g(β)·g(α) of each pair: for each stage [N, L, operators], NaN where none is.

    A gate that is closed is 0, with the four decimals that it is logged with.

    Args:
      row: of `search/gates.jsonl`.
    """
    beta = [np.array(stage, float) for stage in row["beta"]]
    alpha = [np.array(stage, float) for stage in row["alpha"]]
    return [b[:, :, None] * a for b, a in zip(beta, alpha, strict=True)]


def derive(config: ConfigDict, row: Row, derivation: str) -> Architecture:
    """The network that a derivation makes of gates.

    Args:
      config: resolved, of the search.
      row: of `search/gates.jsonl`, its last one.
      derivation: "keep1" or "target".

    Raises:
      UnmetError: the target can't be met.
    """
    space, macro = config_lib.space(config), config_lib.macro(config)
    kept: Kept = tuple(~np.isnan(stage) for stage in strengths(row))
    strength = [np.nan_to_num(stage) for stage in strengths(row)]
    if derivation == "target":
        target = config.target_madds
        kept, _ = derivations.to_target(space, macro, kept, strength, target)
    else:
        inputs = derivations.INPUTS[derivation]
        kept = derivations.keep_strongest(space, kept, strength, inputs)
    return from_kept(space, kept, macro)


class Choice(NamedTuple):
    """The strength of a node's candidate edges over time.

    Attributes:
      distances: of the candidates, 1 for pre-1.
      values: [rows, candidates]; 0 of one that was pruned.
    """

    distances: np.ndarray
    values: np.ndarray


def choices(rows: Sequence[Row]) -> list[Choice]:
    """Of nodes that have a choice, and are there at the end.

    Args:
      rows: of `search/gates.jsonl`.
    """
    # Of operators that were pruned there are none; of an edge without any, NaN is left.
    edges = [
        [np.fmax.reduce(stage, axis=2) for stage in strengths(row)] for row in rows
    ]
    found = []
    for stage in zip(*edges, strict=True):
        values = np.stack(stage)
        for node in range(values.shape[1]):
            own = values[:, node]
            there = ~np.isnan(own).all(axis=0)
            if there.sum() > 1 and not np.isnan(own[-1]).all():
                distances = np.flatnonzero(there) + 1
                found.append(Choice(distances, np.nan_to_num(own[:, there])))
    return found


def entropy(rows: Sequence[Row]) -> list[float]:
    """How undecided nodes are: 1, all candidates are equal; 0, each has one left.

    The entropy of a node's shares of strength over that of equal ones, averaged over
    nodes that have a choice, for each row.
    """
    told = []
    for _, own in choices(rows):
        total, count = own.sum(axis=1, keepdims=True), own.shape[1]
        equal = np.full_like(own, 1 / count)
        share = np.divide(own, total, out=equal, where=total > 0)
        logs = np.log(share, out=np.zeros_like(share), where=share > 0)
        told.append(-(share * logs).sum(axis=1) / np.log(count))
    return [round(float(value), 4) for value in np.mean(told, axis=0)]


def agreement(rows: Sequence[Row]) -> list[float]:
    """The share of nodes whose strongest edge is already that of the end, by row."""
    same = [own.argmax(axis=1) == own[-1].argmax() for _, own in choices(rows)]
    return [round(float(value), 4) for value in np.mean(same, axis=0)]


def pre1(row: Row) -> float:
    """The share of nodes with a choice whose strongest edge is the direct one."""
    chosen = [distances[own[-1].argmax()] for distances, own in choices([row])]
    return float(np.mean(np.array(chosen) == 1))


def active_pairs(config: ConfigDict) -> dict[str, Any]:
    """What is interleaved in the steps that move gates, at the beginning of a search.

    Returns:
      "interleaved": for each such sampling step of a loop, how many pairs of its active
      connections interleave; "learning": how many nodes' gates move.
    """
    space, macro = config_lib.space(config), config_lib.macro(config)
    method = make_method(config, space, macro)
    masks = method.masks(tuple(space.full()), 0)
    told = {"interleaved": [], "learning": []}
    for step in range(len(masks[0].learned)):
        learning = sum(int(stage.learned[step].sum()) for stage in masks)
        if learning:
            told["learning"].append(learning)
            told["interleaved"].append(_interleaved(space, masks, step))
    return told


def _interleaved(space: Space, masks: Masks, step: int) -> int:
    total = 0
    for graph, stage in zip(space.stages, masks, strict=True):
        active = stage.active[step].any(axis=2)
        total += count_interleaved(
            (src, dst) for src, dst in graph.edges() if active[dst - 1, dst - src - 1]
        )
    return total
