"""Networks that one search passed through on its way down, and what became of them.

A search removes one operator after the other, and `prunings.jsonl` tells their order:
so what was left when MAdds first met any budget above the target is known, too.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ifnas_jax import pareto
from ifnas_jax.architecture import Architecture, from_kept
from ifnas_jax.errors import InputError
from ifnas_jax.report.arcs import BLUE, INK
from ifnas_jax.report.curves import style_axes
from ifnas_jax.report.run import Row, Run, edges_of
from ifnas_jax.report.tables import millions


class Passed(NamedTuple):
    """A network on the way.

    Attributes:
      budget: MAdds, which it is the first to meet.
      step: of the search, after which it was left.
      architecture: the network.
      top1: when it was retrained, on the test part; None if it was not.
    """

    budget: int
    step: int
    architecture: Architecture
    top1: float | None = None


def check_prunes(run: Run) -> None:
    """Refuses a run whose search removed nothing.

    Raises:
      InputError: it did.
    """
    config = run.config
    if config.get("given"):
        raise InputError(
            f"workdir {run.workdir!r} has a network that was given, not searched; "
            "name the run of a search."
        )
    if not run.prunings:
        raise InputError(
            f"workdir {run.workdir!r} has no removals, as method "
            f"{config['method']!r} with derive {config['derive']!r} leaves none; name "
            "a run that prunes."
        )


def passed(run: Run, budget: int) -> Passed:
    """The first network of a search that met a budget.

    Args:
      run: whose search is done, and that `check_prunes` did not refuse.
      budget: MAdds.

    Raises:
      InputError: the search met no such budget.
    """
    if budget >= run.whole():
        raise InputError(
            f"--madds has {budget:,}, which the whole super-network meets with "
            f"{run.whole():,}; give less."
        )
    kept = [stage.copy() for stage in run.space.full()]
    for number, row in enumerate(run.prunings):
        operator = run.space.operators.index(row["op"])
        dst, src = row["dst"], row["src"]
        kept[row["stage"] - 1][dst - 1, dst - src - 1, operator] = False
        following = run.prunings[number + 1 :][:1]
        if row["madds"] <= budget and not any(_goes_with(x, row) for x in following):
            return Passed(budget, row["step"], from_kept(run.space, kept, run.macro))
    least = run.prunings[-1]["madds"]
    raise InputError(
        f"--madds has {budget:,}, but the search ended at {least:,}; give that or more."
    )


def _goes_with(row: Row, before: Row) -> bool:
    """Whether a removal is one with that before: unread by it, or of the same edge."""
    same = ("step", "stage", "src", "dst", "reason")
    of_edge = row["reason"] == "edge gate" and all(row[x] == before[x] for x in same)
    return row["reason"] == "unread" or of_edge


def rows_of(networks: Sequence[Passed]) -> list[dict[str, Any]]:
    """What the table, the JSON and the figure say of networks."""
    tested = [x for x in networks if x.top1 is not None]
    madds = [x.architecture.cost().madds for x in tested]
    best = pareto.best(madds, [x.top1 for x in tested]).tolist()
    on = {x.budget: own for x, own in zip(tested, best, strict=True)}
    return [
        {
            "budget": x.budget,
            "step": x.step,
            **x.architecture.cost()._asdict(),
            "depth": x.architecture.depth(),
            "connections": edges_of(x.architecture),
            "top1": x.top1,
            "pareto": on.get(x.budget),
        }
        for x in networks
    ]


def table_of(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """A header, and a row for each network."""
    names = ["budget", "MAdds", "parameters", "depth", "connections", "at step"]
    table = [[*names, "test top-1", "Pareto"]]
    for row in rows:
        top1 = "-" if row["top1"] is None else f"{100 * row['top1']:.2f} %"
        table.append(
            [
                *(millions(row["budget"], 2), millions(row["madds"], 2)),
                *(millions(row["params"], 3), str(row["depth"])),
                *(str(row["connections"]), str(row["step"]), top1),
                {None: "-", True: "yes", False: "no"}[row["pareto"]],
            ]
        )
    return table


def draw_front(rows: Sequence[dict[str, Any]], title: str) -> Figure:
    """Draws accuracy over MAdds of the networks that were retrained, at least one.

    The line joins those that no other one beats in both.
    """
    own = [row for row in rows if row["top1"] is not None]
    figure = Figure(figsize=(4.2, 3.0), layout="constrained")
    axes = figure.subplots()
    style_axes(axes)
    points = [(row["madds"] / 1e6, 100 * row["top1"], row["pareto"]) for row in own]
    best = sorted((x, y) for x, y, on in points if on)
    axes.plot(*np.array(best).T, color=BLUE, linewidth=1.2)
    for row, (x, y, on) in zip(own, points, strict=True):
        axes.plot(x, y, "o", color=BLUE, markerfacecolor=BLUE if on else "white")
        note = f"depth {row['depth']}"
        axes.annotate(note, (x, y), (4, 4), textcoords="offset points", fontsize=7.5)
    axes.margins(0.12)
    axes.set_title(title, fontsize=9, color=INK)
    axes.set_xlabel("MAdds (M)", fontsize=8.5)
    axes.set_ylabel("test top-1 (%)", fontsize=8.5)
    return figure
