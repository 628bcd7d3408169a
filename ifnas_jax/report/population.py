"""What the runs of many seeds have in common, and how far they are apart.

In numbers, as `summary.json` has them; `population_page.py` shows them. Needs no JAX.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ifnas_jax import files, storage
from ifnas_jax.report.comparison import COLUMNS
from ifnas_jax.report.gates import gate_arrays
from ifnas_jax.report.run import Run, edges_of, read_run
from ifnas_jax.run import population
from ifnas_jax.run.workdir import Workdir
from ifnas_jax.spaces.graph import Edge
from ifnas_jax.statistics import mean_of

# Numbers of a run of which a mean is told, by their columns, which show them.
_KEYS = ("top1", "top5", "madds", "params", "depth", "edges")
_COLUMNS = [
    (column.name, column.key, column.show) for column in COLUMNS if column.key in _KEYS
]
_SECONDS = ("search_seconds", "retrain_seconds", "compile_seconds")


def read_runs(workdir: Workdir) -> list[Run]:
    """The runs of all seeds of which there is something yet, by seed.

    Raises:
      InputError: a file is damaged, or it is no workdir of many seeds.
    """
    workdirs = population.workdirs_of(workdir)
    return [read_run(own) for own in workdirs if storage.is_file(own.config)]


def summarize(runs: Sequence[Run], failed: Mapping[int, str]) -> dict[str, Any]:
    """What `summary.json` says.

    Args:
      runs: of one config but for the seed, at least one.
      failed: why a seed's run ended without a result.
    """
    done = [run for run in runs if run.finished]
    first = runs[0]
    return {
        "method": first.config["method"],
        "space": first.space.name,
        "num_precursors": first.space.num_precursors,
        "dataset": first.config["dataset.name"],
        "target_madds": first.config["target_madds"],
        "runs": [_row(run) for run in done],
        "failed": [{"seed": seed, "why": why} for seed, why in failed.items()],
        "means": {
            key: _mean([_row(run)[key] for run in done]) for _, key, _ in _COLUMNS
        },
        "stages": stages(runs),
    }


def write_summary(workdir: Workdir, failed: Mapping[int, str]) -> None:
    """Writes `summary.json`, of the runs that are done."""
    runs = read_runs(workdir)
    files.write_json(workdir.summary, summarize(runs, failed))


def _row(run: Run) -> dict[str, Any]:
    return {
        "seed": run.config["seed"],
        "workdir": os.path.basename(run.workdir.path),
        "top1": run.result["top1"],
        "top5": run.result["top5"],
        "madds": run.result["madds"],
        "params": run.result["params"],
        "depth": run.result["depth"],
        "edges": edges_of(run.found),
        "target_met_by": run.result["target_met_by"],
        **{name: run.result.get(name) for name in _SECONDS},
    }


def _mean(values: Sequence[float | None]) -> dict[str, float | None]:
    """Mean, standard deviation, and half of the 95 % interval of the mean."""
    found = mean_of([value for value in values if value is not None])
    names = "mean", "std", "interval95", "runs"
    return dict(zip(names, found, strict=True))


def stages(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """For each stage every edge of the space: how many runs keep it, and its gate.

    Of the runs that have found a network; "gate" has mean and standard deviation of
    g(β) at the end of their searches, where an edge that was pruned counts as 0.
    """
    found = [run for run in runs if run.found is not None]
    rows = [run.gates[-1:] for run in found if run.gates]
    told = []
    for index, graph in enumerate(runs[0].space.stages):
        kept = [_kept_ops(run, index) for run in found]
        last = [np.nan_to_num(gate_arrays(own)[index][0]) for own in rows]
        edges = []
        for src, dst in sorted(graph.edges(), key=lambda edge: edge[::-1]):
            counts: dict[str, int] = {}
            for own in kept:
                for op in own.get((src, dst), ()):
                    counts[op] = counts.get(op, 0) + 1
            edge = {
                "src": src,
                "dst": dst,
                "runs": sum((src, dst) in own for own in kept),
                "ops": dict(sorted(counts.items())),
            }
            if last:
                values = [own[dst - 1, dst - src - 1] for own in last]
                edge["gate"] = {
                    "mean": round(float(np.mean(values)), 4),
                    "std": round(float(np.std(values, ddof=len(values) > 1)), 4),
                }
            edges.append(edge)
        told.append({"nodes": graph.num_nodes, "runs": len(found), "edges": edges})
    return told


def _kept_ops(run: Run, stage: int) -> dict[Edge, tuple[str, ...]]:
    return {(edge.src, edge.dst): edge.ops for edge in run.found.stages[stage].edges}


def agreement(told: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Edges that all runs keep, some, or none, of what `stages` says."""
    counts = {"all": 0, "some": 0, "none": 0}
    for stage in told:
        for edge in stage["edges"]:
            kept = edge["runs"]
            key = "none" if not kept else "all" if kept == stage["runs"] else "some"
            counts[key] += 1
    return counts


def table_of(summary: Mapping[str, Any]) -> list[list[str]]:
    """A header, a row for each run, and one of means with their 95 % intervals."""
    header = ["seed", *(name for name, _, _ in _COLUMNS), "target met by"]
    rows = [header]
    for run in summary["runs"]:
        cells = [_cell(run[key], show) for _, key, show in _COLUMNS]
        rows.append([str(run["seed"]), *cells, run["target_met_by"] or "-"])
    means = [_spread(summary["means"][key], show) for _, key, show in _COLUMNS]
    return [*rows, ["mean", *means, ""]]


def _cell(value: float | None, show: Callable[[float], str]) -> str:
    return "-" if value is None else show(value)


def _spread(mean: Mapping[str, float | None], show: Callable[[float], str]) -> str:
    if mean["interval95"] is None:
        return _cell(mean["mean"], show)
    return f"{show(mean['mean'])} ± {show(mean['interval95'])}"


def describe_agreement(summary: Mapping[str, Any]) -> str:
    """In how far the runs keep the same edges, in a sentence."""
    counts, runs = agreement(summary["stages"]), summary["stages"][0]["runs"]
    return (
        f"Of {sum(counts.values())} connections {counts['all']} are kept by all {runs} "
        f"networks that were found, {counts['some']} by some, {counts['none']} by none."
    )
