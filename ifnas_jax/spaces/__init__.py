"""What can be searched: static graphs, and which of their connections interleave.

Plain Python and NumPy; knows operators by name, and no network, method or price.
"""

from collections.abc import Sequence

from ifnas_jax.errors import InputError
from ifnas_jax.operators.names import OPERATORS
from ifnas_jax.spaces.darts import darts
from ifnas_jax.spaces.goldnas import goldnas
from ifnas_jax.spaces.graph import Space, check_size
from ifnas_jax.spaces.lchain import lchain

NAMES = ("lchain", "darts", "goldnas")


def make_space(
    name: str,
    num_precursors: int,
    nodes: Sequence[int],
    cells: int,
    operators: Sequence[str] = OPERATORS,
) -> Space:
    """A space by its name.

    Args:
      name: one of `NAMES`.
      num_precursors: L.
      nodes: searched nodes of each of a chain's three stages, or of every cell.
      cells: of the super-network; not read in a chain.
      operators: candidate operators of every edge.

    Raises:
      InputError: the name is unknown, or a number is out of range.
    """
    if name not in NAMES:
        raise InputError(f"space.name is {name!r}; choose one of {list(NAMES)}.")
    if name == "lchain":
        space = lchain(num_precursors, nodes, operators)
    elif len(nodes) != 1:
        raise InputError(
            f"space.nodes is {tuple(nodes)}, but all cells of space {name!r} have as "
            "many nodes; give one number, as in (4,)."
        )
    elif name == "darts":
        space = darts(nodes[0], num_precursors, operators)
    else:
        space = goldnas(cells, nodes[0], num_precursors, operators)
    check_size(space)
    return space
