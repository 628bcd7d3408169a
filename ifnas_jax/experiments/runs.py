"""Tables of whole runs: a search each, and what it found, trained from scratch."""

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.figure import Figure
from ml_collections import ConfigDict

from ifnas_jax.experiments.drawing import strip_figure
from ifnas_jax.experiments.results import Results
from ifnas_jax.experiments.settings import Setting
from ifnas_jax.experiments.tables import Table, number, spread

CHAINS = (4, 6, 8)
NAMES = {
    "random": "random",
    "darts": "DARTS",
    "pcdarts": "PC-DARTS",
    "goldnas": "GOLD-NAS",
    "dnas": "w/o IF",
    "ifnas": "IF-NAS",
}

# What a short schedule needs to prune down to its target within it.
_QUICK = {
    "search__alpha_epochs": 0.0,
    "penalty__delta": 0.5,
    "penalty__prune_epochs": 1.2,
    "goldnas__delta": 0.3,
}
# With 6 nodes a stage, none has more than 6 precursors; and the cost of its chain.
_EIGHT = {"space__nodes": (9, 9, 9), "target_madds": 6_950_000}


def whole(
    base: Callable[..., ConfigDict], length: int, method: str, **fields
) -> ConfigDict:
    """The config of a run in a chain space, for every scale."""
    own: dict[str, Any] = {"space": f"lchain{length}", "method": method, **fields}
    if not is_paper(base):
        own = {**_QUICK, **own}
    if scale_of(base) == "proxy" and length == 8:
        own = {**_EIGHT, **own}
    return base(**own)


def scale_of(base: Callable[..., ConfigDict]) -> str:
    """The scale of a base, of which experiments make their settings."""
    return base.args[0]


def is_paper(base: Callable[..., ConfigDict]) -> bool:
    """Whether that is the paper's."""
    return scale_of(base) == "paper"


def chain_setting(base, length: int, method: str, **fields) -> Setting:
    """A method in a chain space, under the label that tables have."""
    label = f"L = {length}, {NAMES[method]}"
    return Setting(label, whole(base, length, method, **fields))


def table(title: str, results: Results) -> Table:
    """A row for each setting: what was found, and its error alone.

    Of searches from whose gates more than one network is derived, that at the target.
    """
    rows = [_row(results, x, _network_of(results, x)) for x in results.labels]
    header = ["setting", "seeds", "top-1 error %", "top-5 error %", "parameters (k)"]
    header += ["MAdds (M)", "depth", "pre-1 % of edges", "met by pruning"]
    return Table(title, header, rows, "Mean ± half of the 95 % interval.")


def _row(results: Results, label: str, what: str) -> list[str]:
    """What a setting's networks are and are worth: those trained, or else all found."""
    trained = results.of(label, what)
    rows = trained or [row["networks"][what] for row in results.of(label)]

    def of(field: str) -> Sequence[float]:
        return [own[field] for own in rows]

    met = [own["target_met_by"] for own in results.of(label)]
    return [
        label,
        f"{len(trained)}" if trained else f"0 of {len(rows)} trained",
        spread([1 - own["top1"] for own in trained], number(2, 100)),
        spread([1 - own["top5"] for own in trained], number(2, 100)),
        spread(of("params"), number(1, 1e-3)),
        spread(of("madds"), number(2, 1e-6)),
        spread(of("depth"), number()),
        spread(of("pre1_edges"), number(0, 100)),
        f"{met.count('pruning')} of {len(met)}" if any(met) else "-",
    ]


def figures(results: Results, name: str) -> dict[str, Figure]:
    """A dot for each seed: error, depth, and MAdds of each setting."""

    def of(label: str, field: str, scale: float = 1.0) -> Sequence[float]:
        what = _network_of(results, label)
        return [scale * x for x in results.networks(label, what, field)]

    def errors(label: str) -> Sequence[float]:
        top1 = results.trained(label, _network_of(results, label))
        return [100 * (1 - x) for x in top1]

    labels = results.labels
    panels = {
        "top-1 error, %": {label: errors(label) for label in labels},
        "depth": {label: of(label, "depth") for label in labels},
        "MAdds, M": {label: of(label, "madds", 1e-6) for label in labels},
    }
    return {name: strip_figure(panels)}


def _network_of(results: Results, label: str) -> str:
    """Which of a search's networks a table tells of."""
    return "target" if "target" in results.setting(label).networks else "found"


def cells_setting(base, label: str, space: str, method: str, **fields) -> Setting:
    """A method in a space of cells."""
    own: dict[str, Any] = {"space": space, "method": method, **fields}
    if not is_paper(base):
        target = _CELL_TARGETS[scale_of(base)]
        own = {**_QUICK, **_CELLS, "target_madds": target, **own}
    return Setting(label, base(**own))


# Few cells: a network of 20 of them is no proxy. By scale, the cost of a plain one.
_CELLS = {"space__nodes": (4,), "macro__search_cells": 3, "macro__cells": 3}
_CELL_TARGETS = {"proxy": 5_000_000, "gpu": 18_000_000}
