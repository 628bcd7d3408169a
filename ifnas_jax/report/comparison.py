"""Several runs on one data set beside each other, in numbers.

Means over seeds with their intervals, and exact tests of differences.
"""

import json
import os
import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ifnas_jax import statistics, storage
from ifnas_jax.errors import InputError
from ifnas_jax.report.run import Run, edges_of, space_name
from ifnas_jax.report.tables import describe_architecture
from ifnas_jax.spaces.graph import Space

# Fields that runs may differ in and be the same but for the seed: they say what is
# done, where and how it is logged, not what comes out.
_FREE = (
    *("seed", "seeds", "lanes", "jobs", "tensorboard", "log_every"),
    *("dataset.data_dir", "dataset.on_unreadable", "dataset.labels"),
    *("search.checkpoint_every", "retrain.checkpoint_every"),
    *("search.valid_every", "retrain.test_every"),
)

# Fields that a space's name tells.
_SPACE = ("space.", "macro.cells", "macro.search_cells")

# Fields that say what data is learnt and tested on.
_DATA = ("dataset.name", "dataset.classes", "dataset.test_split")


class Column(NamedTuple):
    """A number that runs are compared by.

    Attributes:
      name: as it is shown.
      key: in files, where fractions are no percentages.
      value: of a run, or None.
      show: as text.
    """

    name: str
    key: str
    value: Callable[[Run], float | None]
    show: Callable[[float], str]


def _result(key: str) -> Callable[[Run], float | None]:
    return lambda run: run.result.get(key) if run.finished else None


def _found(measure: Callable[..., float]) -> Callable[[Run], float | None]:
    return lambda run: None if run.found is None else measure(run.found)


def _pre1(architecture) -> float:
    """The share of kept connections that come from the node before."""
    histogram = describe_architecture(architecture)["precursor_histogram"]
    return histogram["1"] / sum(histogram.values())


def _error(run: Run) -> float | None:
    top1 = _result("top1")(run)
    return None if top1 is None else 1 - top1


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _count(value: float) -> str:
    """A whole number, or a mean of some with one decimal."""
    return f"{value:.1f}".removesuffix(".0")


COLUMNS = (
    Column("top-1 %", "top1", _result("top1"), _percent),
    Column("error %", "error", _error, _percent),
    Column("top-5 %", "top5", _result("top5"), _percent),
    Column(
        "MAdds", "madds", _found(lambda x: x.cost().madds), lambda x: f"{x / 1e6:.2f}M"
    ),
    Column(
        "params",
        "params",
        _found(lambda x: x.cost().params),
        lambda x: f"{x / 1e6:.3f}M",
    ),
    Column("depth", "depth", _found(lambda x: x.depth()), _count),
    Column("edges", "edges", _found(edges_of), _count),
    Column("pre-1 %", "pre1", _found(_pre1), lambda x: f"{100 * x:.0f}"),
    Column(
        "search s", "search_seconds", _result("search_seconds"), lambda x: f"{x:.0f}"
    ),
    Column(
        "retrain s", "retrain_seconds", _result("retrain_seconds"), lambda x: f"{x:.0f}"
    ),
)


class Group(NamedTuple):
    """Runs that differ in nothing but the seed."""

    label: str
    runs: tuple[Run, ...]


def check_comparable(runs: Sequence[Run]) -> None:
    """Refuses runs that don't belong in one table.

    Raises:
      InputError: their data sets differ, or one counts as two.
    """
    first, *others = runs
    # A folder has one name, whatever is in it.
    folder = first.config["dataset.name"] == "folder"
    fields = (*_DATA, "dataset.contents") if folder else _DATA
    for run in others:
        for field in fields:
            ours, theirs = first.config.get(field), run.config.get(field)
            # A run of an earlier version does not say what it was tested on.
            known = field != "dataset.test_split" or (ours and theirs)
            if ours != theirs and known:
                ours, theirs = reprlib.repr(ours), reprlib.repr(theirs)
                raise InputError(
                    f"{first.workdir!r} is a run with {field} {ours}, but "
                    f"{run.workdir!r} with {theirs}; compare runs on one data set."
                )
    for group in make_groups(runs):
        seeds: dict[int, Run] = {}
        for run in group.runs:
            seed = run.config["seed"]
            if seed in seeds:
                raise InputError(
                    f"{seeds[seed].workdir!r} and {run.workdir!r} are runs of one "
                    f"config with seed {seed}, which would count twice; name one of "
                    "them."
                )
            seeds[seed] = run


def differing(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Each field in which the runs differ, with a value for each run.

    Those of `_FREE` are left out.
    """
    fields = sorted({field for run in runs for field in run.config})
    values = {field: [run.config.get(field) for run in runs] for field in fields}
    return {
        field: own
        for field, own in values.items()
        if field not in _FREE and len({_key(value) for value in own}) > 1
    }


def _key(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def make_groups(runs: Sequence[Run]) -> list[Group]:
    """The runs by what they differ in, in the order of their first one."""
    fields = differing(runs)
    groups: dict[tuple[str, ...], list[Run]] = {}
    for index, run in enumerate(runs):
        key = tuple(_key(own[index]) for own in fields.values())
        groups.setdefault(key, []).append(run)
    others = [x for x in fields if x != "method" and not x.startswith(_SPACE)]
    names = space_names(runs)
    return [
        Group(_label(own[0], others, names[own[0].space]), tuple(own))
        for own in groups.values()
    ]


def space_names(runs: Sequence[Run]) -> dict[Space, str]:
    """What each of the runs' spaces is called, apart from the others'.

    Empty texts where there is one space only.
    """
    spaces = list(dict.fromkeys(run.space for run in runs))
    names = [space_name(space) for space in spaces]
    told = {}
    for space, name in zip(spaces, names, strict=True):
        alike = names.count(name) > 1
        told[space] = f"{name}, {' + '.join(space.operators)}" if alike else name
    return told if len(spaces) > 1 else dict.fromkeys(spaces, "")


def _label(run: Run, fields: Iterable[str], space: str) -> str:
    """The method, and what else sets a group apart."""
    parts = [f"{field}={run.config.get(field)}" for field in fields]
    return ", ".join([run.config["method"], *filter(None, [space]), *parts])


def run_rows(
    runs: Sequence[Run], columns: Sequence[Column] = COLUMNS
) -> tuple[list[str], list[list[str]]]:
    """The header and a row for each run."""
    names, spaces = names_of(runs), space_names(runs)
    several = ["space"] if len(spaces) > 1 else []
    header = ["run", "method", "seed", *several, *(column.name for column in columns)]
    rows = []
    for run, name in zip(runs, names, strict=True):
        row = [name, run.config["method"], str(run.config["seed"])]
        row += [spaces[run.space]] if several else []
        for column in columns:
            value = column.value(run)
            row.append("-" if value is None else column.show(value))
        rows.append(row)
    if not all(run.finished for run in runs):
        header.append("state")
        for run, row in zip(runs, rows, strict=True):
            row.append(run.state)
    return header, rows


def group_rows(
    groups: Sequence[Group], columns: Sequence[Column] = COLUMNS
) -> tuple[list[str], list[list[str]]]:
    """The header and a row for each group: mean ± half of its 95 % interval.

    Over the runs that are finished; one alone has no interval. Where some of them have
    no such number, how many have follows in brackets.
    """
    header = ["differ in the seed alone", "runs", *(column.name for column in columns)]
    rows = []
    for group in groups:
        done = [run for run in group.runs if run.finished]
        row = [group.label, _runs(group, done)]
        for column in columns:
            values = values_of(group, column)
            few = f" ({len(values)})" if 0 < len(values) < len(done) else ""
            row.append(_spread(values, column.show) + few)
        rows.append(row)
    return header, rows


def values_of(group: Group, column: Column) -> list[float]:
    """A number of each finished run of a group that has it."""
    every = [column.value(run) for run in group.runs if run.finished]
    return [value for value in every if value is not None]


def test_rows(
    groups: Sequence[Group], columns: Sequence[Column] = COLUMNS
) -> tuple[list[str], list[list[str]]]:
    """The header and a row for each group but the first, and each number to compare.

    How much higher it is than that of the first group, the difference's 95 % interval,
    and the p of an exact permutation test. No rows where seeds are too few.
    """
    header = ["against the first", "", "difference", "95 % interval", "exact p"]
    rows = []
    for group in groups[1:]:
        for column in columns:
            found = difference(groups[0], group, column)
            if found is not None:
                ends = f"{column.show(found.low)} to {column.show(found.high)}"
                told = [column.show(found.mean), ends, f"{found.p:.3f}"]
                rows.append([group.label, column.name, *told])
    return header, rows


def difference(
    first: Group, other: Group, column: Column
) -> statistics.Difference | None:
    """How much higher a number of another group is than of the first."""
    return statistics.compare(values_of(other, column), values_of(first, column))


def _runs(group: Group, done: Sequence[Run]) -> str:
    whole = len(group.runs)
    return f"{whole}" if len(done) == whole else f"{len(done)} of {whole}"


def _spread(values: Sequence[float], show: Callable[[float], str]) -> str:
    found = statistics.mean_of(values)
    if found.mean is None:
        return "-"
    mean = show(found.mean)
    return mean if found.half is None else f"{mean} ± {show(found.half)}"


def names_of(runs: Sequence[Run]) -> list[str]:
    """What tells the runs apart: the shortest equally deep ends of their folders."""
    paths = [storage.absolute(run.workdir.path).split(os.sep) for run in runs]
    for count in range(1, max(map(len, paths))):
        names = [os.sep.join(path[-count:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names


def differences_table(runs: Sequence[Run]) -> tuple[list[str], list[list[str]]]:
    """The header and a row for each field in which the runs differ."""
    fields: Mapping[str, list[Any]] = differing(runs)
    rows = [[field, *map(_key, own)] for field, own in fields.items()]
    return ["field", *names_of(runs)], rows
