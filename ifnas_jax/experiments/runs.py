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
# By L: nodes of the stages, of which L = 8 needs more, and the cost of their chain.
_NODES = {4: (6, 6, 6), 6: (6, 6, 6), 8: (9, 9, 9)}
_TARGETS = {4: 5_000_000, 6: 5_000_000, 8: 6_950_000}


def whole(
    base: Callable[..., ConfigDict], length: int, method: str, **fields
) -> ConfigDict:
    """The config of a run in a chain space, for both scales."""
    own: dict[str, Any] = {"space": f"lchain{length}", "method": method, **fields}
    if is_proxy(base):
        own |= {**_QUICK, "space__nodes": _NODES[length]}
        own["target_madds"] = _TARGETS[length]
    return base(**own)


def is_proxy(base: Callable[..., ConfigDict]) -> bool:
    """Whether a base is of the proxy scale."""
    return base.args[0] == "proxy"


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
    if is_proxy(base):
        own = {**_QUICK, **_CELLS[space], **own}
    return Setting(label, base(**own))


# Few small cells: a network of 20 of them is no proxy for two cores.
_CELLS = {
    "darts_space": {
        "space__nodes": (4,),
        "macro__search_cells": 3,
        "macro__cells": 3,
        "target_madds": 5_000_000,
    },
    "goldnas_space": {
        "space__nodes": (4,),
        "macro__search_cells": 3,
        "macro__cells": 3,
        "target_madds": 5_000_000,
    },
}
