"""The L-chain space S^(L) of the paper (section 3.2, Figure 2)."""

from collections.abc import Sequence

from ifnas_jax.errors import InputError
from ifnas_jax.operators.names import OPERATORS, check_operators
from ifnas_jax.spaces.graph import Space, Stage

PAPER_NODES = (18, 20, 18)


def lchain(
    num_precursors: int,
    nodes: Sequence[int] = PAPER_NODES,
    operators: Sequence[str] = OPERATORS,
) -> Space:
    """The L-chain: every node may read any of its `num_precursors` precursors.

    Args:
      num_precursors: L, at least 1; with L = 1 the space is a plain chain.
      nodes: searchable nodes of each of the three stages.
      operators: candidate operators of every edge.

    Raises:
      InputError: L, a node count or the number of stages is out of range.
    """
    if num_precursors < 1:
        raise InputError(
            f"space.num_precursors is {num_precursors}; a node reads at least its "
            "direct precursor, so set it to 1 or more."
        )
    whole = all(type(count) is int and count >= 1 for count in nodes)
    if len(nodes) != 3 or not whole:
        raise InputError(
            f"space.nodes is {tuple(nodes)}; the macro network has three stages, so "
            "give three whole numbers of at least 1."
        )
    check_operators(operators)
    stages = tuple(Stage(count, num_precursors) for count in nodes)
    return Space("lchain", tuple(operators), stages)
