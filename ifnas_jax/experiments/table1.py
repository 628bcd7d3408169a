"""Table 1: how large the spaces are. Nothing is run, and the scale does not matter."""

from decimal import Decimal

from ifnas_jax import config as config_lib
from ifnas_jax.config.command_line import load_config
from ifnas_jax.experiments import paper
from ifnas_jax.experiments.tables import Table

_SPACES = {
    "DARTS": "darts_space",
    "GOLD-NAS": "goldnas_space",
    **{f"{length}-chain": f"lchain{length}" for length in (4, 6, 8)},
}


def settings(base) -> list:
    """None."""
    del base
    return []


def tables(results) -> list[Table]:
    """Both ways of counting nodes, and the paper's."""
    del results
    rows = []
    for name, config in _SPACES.items():
        space = config_lib.space(load_config(f"configs/{config}.py"))
        sizes = _power(space.size()), _power(space.size_paper())
        rows.append([name, str(space.num_edges), *sizes])
    header = ["space", "connections", "architectures", "as the paper counts"]
    note = (
        "With the two operators of the L-chains everywhere. The paper counts a stage's "
        "input among its nodes, and in the space of DARTS seven operators."
    )
    return [Table("Table 1: sizes of spaces", header, rows, note), paper.TABLE1]


def figures(results) -> dict:
    """None."""
    del results
    return {}


def _power(size: int) -> str:
    """As 1.8e116: too much for a float."""
    digits, exponent = f"{Decimal(size):.1e}".split("e+")
    return f"{digits}e{int(exponent)}"
