"""The runs of many seeds on one page: what they agree on, how far they are apart."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ifnas_jax import storage
from ifnas_jax.report import document, gates, why
from ifnas_jax.report.arcs import BLUE, FAINT, INK, Arc, Column, Stroke, draw_columns
from ifnas_jax.report.document import figures, paragraph, section, table, text
from ifnas_jax.report.drawing import draw_architecture
from ifnas_jax.report.inline import inline
from ifnas_jax.report.population import (
    describe_agreement,
    read_runs,
    summarize,
    table_of,
)
from ifnas_jax.report.run import Run, space_name
from ifnas_jax.report.tables import stage_names
from ifnas_jax.run.workdir import Workdir

# Seconds after which the page of runs that go on is loaded again.
REFRESH = 30

_ALL, _MOST, _FEW = Stroke(INK, 1.9), Stroke(BLUE, 1.2), Stroke(FAINT, 0.9)


def write_population_page(
    workdir: Workdir, failed: Mapping[int, str], seeds: int
) -> str | None:
    """Writes `report/index.html` of many seeds' runs, if there is something to see.

    Args:
      workdir: of all of them.
      failed: why a seed's run ended without a result.
      seeds: how many there are to be.

    Returns:
      The path.

    Raises:
      OSError: it can't be written.
    """
    runs = read_runs(workdir)
    if not runs:
        return None
    storage.make_folder(workdir.report)
    storage.write_text(workdir.page, make_page(runs, failed, seeds))
    return workdir.page


def make_page(runs: Sequence[Run], failed: Mapping[int, str], seeds: int) -> str:
    """The page's HTML."""
    summary = summarize(runs, failed)
    first = runs[0].config
    title = f"{seeds} seeds: {first['method']} on {first['dataset.name']}"
    done = sum(run.finished for run in runs)
    going = done + len(failed) < seeds
    state = f"{done} of {seeds} finished" + (f", {len(failed)} failed" * bool(failed))
    body = [
        f"<header><h1>{text(title)}</h1>",
        paragraph(space_name(runs[0].space), "soft"),
        f'<p><span class="state">{text(state)}</span></p></header>',
        _results(summary),
        _failures(failed),
        _agreement(runs, summary),
        _extremes(runs),
        _gates(runs),
        _runs(runs),
        "<footer>Made of the files in the runs' workdirs by <code>python -m "
        "ifnas_jax.report</code>.</footer>",
    ]
    refresh = REFRESH if going else None
    return document.document(title, "\n".join(filter(None, body)), refresh)


def _results(summary: Mapping[str, Any]) -> str:
    if not summary["runs"]:
        return section("Results", paragraph("No run is finished yet."))
    header, *rows = table_of(summary)
    about = (
        "The last row is the mean ± its 95 % interval (Student's t) over the runs that "
        "are finished. Accuracy is that of the retrained network on the test part, "
        "after the last epoch."
    )
    return section("Results", table(rows, header), paragraph(about, "soft"))


def _failures(failed: Mapping[int, str]) -> str:
    rows = [(seed, why) for seed, why in failed.items()]
    return section("Without a result", table(rows, ("seed", "why"))) if rows else ""


def _agreement(runs: Sequence[Run], summary: Mapping[str, Any]) -> str:
    found = summary["stages"][0]["runs"]
    if not found:
        return ""
    figure = draw_agreement(runs[0], summary["stages"])
    label = "How many of the networks keep each connection"
    drawn = inline(figure, "agreement", label)
    about = paragraph(describe_agreement(summary), "soft")
    return section("What the seeds agree on", about, figures([(drawn, "")]))


def draw_agreement(run: Run, stages: Sequence[Mapping[str, Any]]) -> Figure:
    """Draws every connection that a network keeps, the darker the more of them do.

    Args:
      run: one of them.
      stages: of `population.stages`.
    """
    found = stages[0]["runs"]
    names, columns = stage_names(run.space), []
    for number, (stage, graph) in enumerate(zip(stages, run.space.stages, strict=True)):
        arcs = []
        for edge in sorted(stage["edges"], key=lambda edge: edge["runs"]):
            if edge["runs"]:
                side = 0 if edge["dst"] - edge["src"] == 1 else 1
                name = f"stage{number + 1}-{edge['src']}-{edge['dst']}"
                stroke = _stroke(edge["runs"], found)
                arcs.append(Arc(edge["src"], edge["dst"], stroke, side, name=name))
        kept = sum(edge["runs"] == found for edge in stage["edges"])
        column = Column(
            names[number],
            f"{kept} kept by all",
            stage["nodes"],
            tuple(arcs),
            first=graph.first,
        )
        columns.append(column)
    half = -(-found // 2)
    legend = {f"all {found}": _ALL}
    if found > 1:
        legend[_range(half, found - 1)] = _MOST
    if half > 1:
        legend[_range(1, half - 1)] = _FEW
    return draw_columns(f"Kept by how many of {found} networks", columns, legend)


def extremes(runs: Sequence[Run]) -> list[tuple[str, Run]]:
    """The best, the median and the worst of the tested runs, by top-1; of two, both.

    Of equals the first seed; of an even number of runs the better of the middle two.
    """
    tested = [run for run in runs if run.finished and run.result["top1"] is not None]
    ranked = sorted(tested, key=lambda run: -run.result["top1"])
    if len(ranked) < 3:
        return list(zip(("best", "worst"), ranked, strict=True)) if ranked[1:] else []
    middle = ranked[(len(ranked) - 1) // 2]
    return [("best", ranked[0]), ("median", middle), ("worst", ranked[-1])]


def _extremes(runs: Sequence[Run]) -> str:
    drawings = []
    for name, run in extremes(runs):
        top1, seed = run.result["top1"], run.config["seed"]
        caption = f"{name}: {100 * top1:.2f} %, seed {seed}"
        figure = draw_architecture(run.found, gates=why.strengths(run))
        drawn = inline(figure, name, f"The architecture of the {name} seed, {seed}")
        drawings.append((drawn, caption))
    about = "The thicker a line, the more open its connection's gate g(β) at the end."
    title = "Best, median and worst" if len(drawings) > 2 else "Best and worst"
    shown = [paragraph(about, "soft"), figures(drawings)] if drawings else []
    return section(title, *shown)


def _range(least: int, most: int) -> str:
    return f"{least}" if least == most else f"{least} to {most}"


def _stroke(count: int, found: int) -> Stroke:
    if count == found:
        return _ALL
    return _MOST if 2 * count >= found else _FEW


def _gates(runs: Sequence[Run]) -> str:
    told = [run for run in runs if run.gates]
    if not told:
        return ""
    figure = draw_spread([run.gates for run in told])
    drawn = inline(figure, "gates", "Mean gates of the seeds over steps, with spread")
    about = (
        "The mean of g(β) over all nodes that have the candidate, by its distance; one "
        f"that was pruned counts as 0. A line is the mean of {len(told)} seeds, its "
        "band their standard deviation; a search that has ended keeps its last value."
    )
    return section("Gates over time", paragraph(about, "soft"), figures([(drawn, "")]))


def draw_spread(logs: Sequence[Sequence[Mapping[str, Any]]]) -> Figure:
    """Draws a line for each distance, the mean of many seeds, in a band of ± std.

    Args:
      logs: for each seed the rows of its `gates.jsonl`, at least one.
    """
    steps = sorted({row["step"] for rows in logs for row in rows})
    # [seeds, steps, L]
    values = np.stack([_at_steps(rows, steps) for rows in logs])
    figure = Figure(figsize=(4.6, 3.1), layout="constrained")
    axes = figure.subplots()
    mean, deviation = values.mean(axis=0), values.std(axis=0, ddof=len(logs) > 1)
    for distance in range(mean.shape[1], 0, -1):
        color = gates.shade(distance, mean.shape[1])
        low, high = (mean + sign * deviation for sign in (-1, 1))
        own = distance - 1
        axes.fill_between(steps, low[:, own], high[:, own], color=color, alpha=0.2)
    gates.draw_lines(axes, np.array(steps), mean)
    axes.set_ylabel("mean g(β)", fontsize=8.5)
    axes.set_xlabel("step", fontsize=8.5)
    gates.add_legend(figure, mean.shape[1], "outside lower center", crosses=False)
    return figure


def _at_steps(rows: Sequence[Mapping[str, Any]], steps: Sequence[int]) -> np.ndarray:
    """The mean gates of one search at steps, [steps, L]."""
    own = [row["step"] for row in rows]
    places = np.searchsorted(own, steps, side="right") - 1
    return gates.mean_gates(rows)[np.maximum(places, 0)]


def _runs(runs: Iterable[Run]) -> str:
    items = []
    for run in runs:
        folder = os.path.basename(run.workdir.path)
        name = text(folder)
        if storage.exists(run.workdir.page):
            name = f'<a href="../{name}/report/index.html">{name}</a>'
        items.append(f"<li>{name}: {text(run.state)}</li>")
    return section("Runs", f"<ul>{''.join(items)}</ul>")
