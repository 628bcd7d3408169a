"""A run's files as tables of NumPy arrays, for notebooks; needs no JAX."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ifnas_jax.architecture import Architecture
from ifnas_jax.report.run import Run, read_run

# Columns by their names, all of one length: what pandas.DataFrame takes.
Table = dict[str, np.ndarray]


class LoadedRun(NamedTuple):
    """What a run has left so far.

    A table is a dict of NumPy columns; `pandas.DataFrame(run.gates)` makes a frame.
    What a row lacks is NaN, or None among texts.

    Attributes:
      config: every field by its whole name, as "search.batch_size".
      result: of `result.json`; None before the end.
      architecture: the network that was found; None before that.
      search: a row for each sampling step: step, epoch, phase, group, loss, accuracy,
        madds, edges, depth and what else `search/metrics.jsonl` has.
      gates: a row for each connection at each loop's end: step, stage, node, distance,
        gate (g(β) in [0, 1]; NaN of one that was pruned).
      operators: the same for each operator: and operator, gate (g(α)).
      prunings: a row for each removal: step, stage, src, dst, op, reason, gate, madds
        (what is left after it).
      retrain: a row for each log of retraining: step, epoch, loss, accuracy, and
        test_top1 and test_top5 where it was tested.
    """

    config: Mapping[str, Any]
    result: Mapping[str, Any] | None
    architecture: Architecture | None
    search: Table
    gates: Table
    operators: Table
    prunings: Table
    retrain: Table


def load_run(workdir: str | os.PathLike) -> LoadedRun:
    """Reads a run that is done, or goes on.

    Args:
      workdir: of the run; of many seeds' runs that of one, `seed-N`.

    Raises:
      InputError: it is the folder of no run, or a file in it is damaged.
    """
    run = read_run(workdir)
    return LoadedRun(
        run.config,
        run.result,
        run.found,
        _table(run.search),
        _gates(run),
        _operators(run),
        _table(run.prunings),
        _table(run.retrain),
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Columns of rows, some of which may lack some keys."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _column(row.get(name) for row in rows) for name in names}


def _column(values: Iterable[Any]) -> np.ndarray:
    found = list(values)
    if any(isinstance(value, str) for value in found):
        return np.array(found, object)
    if None in found:
        return np.array([np.nan if x is None else x for x in found], float)
    return np.array(found)


def _gates(run: Run) -> Table:
    rows = [
        (row["step"], index + 1, node + 1, edge + 1, gate)
        for row in run.gates
        for index, (stage, values) in enumerate(
            zip(run.space.stages, row["beta"], strict=True)
        )
        for node, edge in np.argwhere(stage.valid()).tolist()
        for gate in [values[node][edge]]
    ]
    return _named(("step", "stage", "node", "distance", "gate"), rows)


def _operators(run: Run) -> Table:
    rows = [
        (row["step"], index + 1, node + 1, edge + 1, name, gate)
        for row in run.gates
        for index, (stage, values) in enumerate(
            zip(run.space.stages, row["alpha"], strict=True)
        )
        for node, edge in np.argwhere(stage.valid()).tolist()
        for name, gate in zip(run.space.operators, values[node][edge], strict=True)
    ]
    names = ("step", "stage", "node", "distance", "operator", "gate")
    return _named(names, rows)


def _named(names: Sequence[str], rows: Sequence[tuple]) -> Table:
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return {name: _column(own) for name, own in zip(names, columns, strict=True)}
