"""The space of GOLD-NAS: cells that differ, with any number of inputs (Table 1)."""

from collections.abc import Sequence

from ifnas_jax.operators.names import OPERATORS, check_operators
from ifnas_jax.spaces.graph import (
    Space,
    cell,
    check_cells,
    reduction_cells,
)


def goldnas(
    cells: int = 14,
    num_nodes: int = 4,
    num_precursors: int = 5,
    operators: Sequence[str] = OPERATORS,
) -> Space:
    """space_G: `cells` cells, nothing shared; a node keeps any of its inputs.

    Args:
      cells: of the network, searched and derived.
      num_nodes: of a cell.
      num_precursors: how many nodes before it a node may read, inputs included; the
        default is all.
      operators: candidate operators of every edge.

    Raises:
      InputError: a count is out of range.
    """
    check_operators(operators)
    check_cells("macro.search_cells, the searched network,", cells)
    reductions = reduction_cells(cells)
    stages = tuple(
        cell(num_nodes, num_precursors, index in reductions) for index in range(cells)
    )
    return Space("goldnas", tuple(operators), stages)
