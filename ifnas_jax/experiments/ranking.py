"""Does a super-network rank networks as training alone does, with IF and without?

Some networks of one input a node, of all depths, are trained from scratch. Each is also
evaluated as a part of super-networks that were trained with and without IF (the
searches of `claims`), with their weights and equal gates, on the validation part.
Kendall's τ between both says how well the super-network ranks; the scatter of depth
and accuracy, whether depth counts in this space at all.
"""

import functools
from typing import Any

from matplotlib.figure import Figure
from scipy import stats

from ifnas_jax import jobs, main, statistics
from ifnas_jax.experiments import claims
from ifnas_jax.experiments.cells import Place
from ifnas_jax.experiments.networks import one_input_each
from ifnas_jax.experiments.settings import SEARCH, STUDY, Cell, Setting
from ifnas_jax.experiments.tables import Table, number, probability, spread
from ifnas_jax.experiments.verdicts import Claim, claims_table
from ifnas_jax.searching import make, ranked

COUNT = 34
# The smallest difference of two τ that would matter.
_MATTERS = 0.1
_DRAWN = "drawn networks"
_METHODS = {claims.IF: {}, claims.WITHOUT: {"method": "dnas"}}


def settings(base) -> list[Setting]:
    """The networks, each a seed; the searches; and what their weights say."""
    draw = functools.partial(one_input_each, count=COUNT)
    drawn = Setting(
        _DRAWN, base(), architecture=draw, variant="drawn", seeds=range(COUNT)
    )
    found = [drawn]
    for label, fields in _METHODS.items():
        search = claims.searched(base, label, trained=(), **fields)
        rank = functools.partial(study, search=search, drawn=drawn)
        variant = f"rank-{search.config.method}"
        found += [search, Setting(name_of(label), search.config, study=rank,
                                  variant=variant, after=search)]  # fmt: skip
    return found


def name_of(label: str) -> str:
    """Of the setting that evaluates a search's super-network."""
    return f"weights of {label}"


def study(cell: Cell, place: Place, search: Setting, drawn: Setting) -> dict[str, Any]:
    """Evaluates all networks with the weights of one search.

    The search is run, or gone on with, where its run is not there any more.
    """
    workdir = place.run(Cell(search, cell.seed, SEARCH))
    config = search.with_seed(cell.seed, ("search",))
    main.run(config, workdir.path)
    dataset = jobs.open_data(config, resumed=True)
    job = make.make_search(config, dataset)
    configs = [drawn.with_seed(draw, ("retrain",)) for draw in range(COUNT)]
    names = job.net.space.operators
    networks = [
        [own.kept(names) for own in drawn.architecture(config).stages]
        for config in configs
    ]
    label = cell.setting.label
    found = ranked.accuracies(job, dataset, workdir, networks, label)
    return {"accuracies": [round(own, 4) for own in found]}


def tables(results) -> list[Table]:
    """τ of each search's weights; depth and accuracy of the networks alone."""
    drawn = {row["seed"]: row for row in results.of(_DRAWN, "found")}
    rows, taus = [], {}
    for label in _METHODS:
        own = results.of(name_of(label), STUDY)
        alone = [drawn[n]["top1"] for n in sorted(drawn)]
        taus[label] = []
        for row in own if len(drawn) > 2 else []:
            theirs = [row["accuracies"][n] for n in sorted(drawn)]
            taus[label].append(statistics.rank_correlation(theirs, alone)[0])
        best = [max(row["accuracies"]) for row in own]
        rows.append(
            [
                label,
                str(len(own)),
                spread(taus[label], number(2)),
                spread(best, number(1, 100)),
            ]
        )
    header = [
        "weights of",
        "seeds",
        "Kendall's τ",
        "best in the super-network, top-1 %",
    ]
    note = (
        f"τ of the accuracy of {len(drawn)} networks as parts of a super-network, and "
        "of theirs alone: mean ± half of the 95 % interval over searches."
    )
    ours, theirs = (taus[label] for label in _METHODS)
    claim = Claim("IF ranks better than w/o IF", ours, theirs, _MATTERS, number(2))
    shown = [
        Table("How super-networks rank", header, rows, note),
        claims_table("Ranking", [claim]),
    ]
    if len(drawn) > 2:
        shown.append(_depths(list(drawn.values())))
    return shown


def _depths(drawn) -> Table:
    depth = [row["depth"] for row in drawn]
    top1 = [row["top1"] for row in drawn]
    rows = []
    for name, field in (("depth", depth), ("MAdds", [row["madds"] for row in drawn])):
        tau, low, high = statistics.rank_correlation(field, top1)
        linear = stats.pearsonr(field, top1)
        interval = f"{low:.2f} to {high:.2f}"
        told = f"{linear.statistic:.2f} ({probability(linear.pvalue)})"
        rows.append([name, str(len(drawn)), f"{tau:.2f}", interval, told])
    header = ["with accuracy alone", "networks", "τ", "95 % interval", "r (p)"]
    return Table("What goes with accuracy", header, rows)


def figures(results) -> dict[str, Figure]:
    """Accuracy alone over depth, and over that in a super-network of each kind."""
    drawn = {row["seed"]: row for row in results.of(_DRAWN, "found")}
    figure = Figure(figsize=(8.6, 2.8), layout="constrained")
    panels = figure.subplots(1, 1 + len(_METHODS), sharey=True)
    numbers = sorted(drawn)
    top1 = [100 * drawn[n]["top1"] for n in numbers]
    panels[0].scatter([drawn[n]["depth"] for n in numbers], top1, s=12)
    panels[0].set_xlabel("depth", fontsize=8.5)
    panels[0].set_ylabel("top-1 alone, %", fontsize=8.5)
    for axes, label in zip(panels[1:], _METHODS, strict=True):
        for row in results.of(name_of(label), STUDY):
            own = [100 * row["accuracies"][n] for n in numbers]
            axes.scatter(own, top1, s=8, alpha=0.6, label=f"seed {row['seed']}")
        axes.set_xlabel(f"top-1 in the super-network, %\n{label}", fontsize=8.5)
    for axes in panels:
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return {"ranking": figure}
