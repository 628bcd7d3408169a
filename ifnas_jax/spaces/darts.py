"""The space of DARTS: a normal and a reduction cell, stacked (section 3.1, Table 1)."""

from collections.abc import Sequence

from ifnas_jax.operators.names import OPERATORS, check_operators
from ifnas_jax.spaces.graph import Space, cell


def darts(
    num_nodes: int = 4,
    num_precursors: int = 5,
    operators: Sequence[str] = OPERATORS,
) -> Space:
    """space_D: all cells of a kind are one; a node keeps two inputs.

    Args:
      num_nodes: of a cell.
      num_precursors: how many nodes before it a node may read, inputs included; the
        default is all.
      operators: candidate operators of every edge.

    Raises:
      InputError: a count is out of range.
    """
    check_operators(operators)
    stages = tuple(
        cell(num_nodes, num_precursors, reduction) for reduction in (False, True)
    )
    return Space("darts", tuple(operators), stages, shared=True, inputs_kept=2)
