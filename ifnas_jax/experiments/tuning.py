"""The rate of the gates, for all methods at once, on seeds that are never reported.

Whether a rate is good is told by how far gates have settled when the search ends, not
by what they chose.
"""

from ifnas_jax.experiments import claims
from ifnas_jax.experiments.drawing import line_figure
from ifnas_jax.experiments.settings import Setting
from ifnas_jax.experiments.tables import Table, number, spread

# Reported seeds are below.
FIRST_SEED = 1000

_RATES = (0.1, 0.5, 2.0)
_METHODS = {claims.IF: {}, claims.WITHOUT: {"method": "dnas"}}


def settings(base) -> list[Setting]:
    """Each rate with and without IF."""
    return [
        claims.searched(
            base,
            f"{label}, rate {rate:g}",
            trained=(),
            search__arch_learning_rate=rate,
            **fields,
        )
        for rate in _RATES
        for label, fields in _METHODS.items()
    ]


def tables(results) -> list[Table]:
    """How far the gates are decided at the end, and since when."""
    rows = []
    for label in results.labels:
        own = results.of(label)
        settled = [
            [row["agreement"][int(share * len(row["agreement"]))] for row in own]
            for share in (0.5, 0.75)
        ]
        rows.append(
            [
                label,
                str(len(own)),
                spread([row["entropy"][-1] for row in own], number(3)),
                *(spread(values, number(0, 100)) for values in settled),
                spread([row["loss"] for row in own], number(3)),
            ]
        )
    header = ["search", "seeds", "entropy", "settled at 1/2 %", "settled at 3/4 %"]
    header += ["training loss"]
    note = "Settled: nodes whose strongest edge is already that of the end."
    return [Table("Rates of the gates", header, rows, note)]


def figures(results) -> dict:
    """Entropy over time."""
    lines = {}
    for label in results.labels:
        own = results.of(label)
        if own:
            lines[label] = own[0]["at"], [row["entropy"] for row in own]
    return {"tuning": line_figure(lines, "step", "entropy of the gates")}
