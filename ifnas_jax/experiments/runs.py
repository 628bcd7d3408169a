"""Tables of whole runs: a search each, and what it found, trained from scratch."""

from collections.abc import Callable, Sequence
from typing import Any

from ml_collections import ConfigDict

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
    rows = []
    for label in results.labels:
        networks = results.setting(label).networks
        rows.append(_row(results, label, "target" if "target" in networks else "found"))
    header = ["setting", "seeds", "top-1 error %", "top-5 error %", "parameters (k)"]
    header += ["MAdds (M)", "depth", "pre-1 % of edges", "met by pruning"]
    return Table(title, header, rows, "Mean ± half of the 95 % interval.")


def _row(results: Results, label: str, what: str) -> list[str]:
    """What a setting found and what it is worth."""
    seeds = results.of(label, what)

    def trained(field: str) -> Sequence[float]:
        return [own[field] for own in seeds]

    met = [own["target_met_by"] for own in results.of(label)]
    pruned = f"{met.count('pruning')} of {len(met)}" if any(met) else "-"
    return [
        label,
        str(len(seeds)),
        spread([1 - x for x in trained("top1")], number(2, 100)),
        spread([1 - x for x in trained("top5")], number(2, 100)),
        spread(trained("params"), number(1, 1e-3)),
        spread(trained("madds"), number(2, 1e-6)),
        spread(results.networks(label, what, "depth"), number()),
        spread(results.networks(label, what, "pre1_edges"), number(0, 100)),
        pruned,
    ]


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
