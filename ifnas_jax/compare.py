"""Shows runs on one data set beside each other, from the files in their workdirs.

    python -m ifnas_jax.compare runs/if-0 runs/if-1 runs/dnas-0 --html=compare.html

Prints a row for each run, the mean over those that differ in nothing but the seed, ±
half of its 95 % interval, and how each such group differs from the first one, with an
exact permutation test. Spaces may differ. The page adds gate curves and architectures;
--json has all numbers, --csv those of the runs. A run that goes on, or was stopped, is
shown as unfinished, and does not count for means.
"""

import csv
import io
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from ifnas_jax import command, statistics, storage
from ifnas_jax.command import make_parser
from ifnas_jax.errors import InputError
from ifnas_jax.report import comparison
from ifnas_jax.report.run import Run, read_run, space_name
from ifnas_jax.report.tables import aligned
from ifnas_jax.run import population
from ifnas_jax.run.workdir import Workdir

# What a terminal has room for.
_SHOWN = ("top-1 %", "error %", "MAdds", "params", "depth", "edges", "search s")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit code."""
    parser = make_parser("ifnas_jax.compare", __doc__)
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="the --workdir of a run, or of many seeds' runs, finished or not",
    )
    parser.add_argument(
        "--html", metavar="FILE.html", help="also write a page, which needs no network"
    )
    parser.add_argument("--json", metavar="FILE.json", help="also write all numbers")
    parser.add_argument(
        "--csv", metavar="FILE.csv", help="also write those of the runs"
    )
    arguments = parser.parse_args(argv)
    try:
        paths = {kind: _path(kind, getattr(arguments, kind)) for kind in _MAKERS}
        runs = [read_run(workdir) for run in arguments.runs for workdir in _named(run)]
        comparison.check_comparable(runs)
        print(_table(runs))
        for kind, path in paths.items():
            if path:
                _write(kind, path, _MAKERS[kind](runs))
    except command.ERRORS as error:
        return command.failed("compare", error, arguments.runs[0])
    return 0


def _named(run: str) -> list[Workdir]:
    """The workdir of a run, or those of the runs that lie in it: of many seeds."""
    workdir = Workdir(storage.reached("RUN", run))
    return population.workdirs_of(workdir) or [workdir]


def _path(kind: str, path: str | None) -> str | None:
    """Of a file to write, which has the name of its kind.

    Raises:
      InputError: it has not, so that it may be one that should stay.
    """
    if not path:
        return None
    path = storage.reached(f"--{kind}", path)
    suffix = os.path.splitext(path)[1]
    if suffix != f".{kind}":
        raise InputError(
            f"--{kind} {path!r} ends in {suffix or 'nothing'!r}; end its name in "
            f".{kind}."
        )
    return path


def _table(runs: Sequence[Run]) -> str:
    columns = [x for x in comparison.COLUMNS if x.name in _SHOWN]
    header, rows = comparison.run_rows(runs, columns)
    names = [name for name in comparison.space_names(runs).values() if name]
    title = f"{len(names)} spaces" if names else space_name(runs[0].space)
    lines = [title, "", *aligned([header, *rows])]
    if len(runs) > 1:
        groups = comparison.make_groups(runs)
        header, rows = comparison.group_rows(groups, columns)
        lines += ["", *aligned([header, *rows])]
        header, rows = comparison.test_rows(groups, columns)
        lines += ["", *aligned([header, *rows])] if rows else []
    return "\n".join(lines)


def _html(runs: Sequence[Run]) -> str:
    # Matplotlib takes a while to import, so only for a page.
    from ifnas_jax.report.comparison_page import make_page

    return make_page(runs)


def _as_object(runs: Sequence[Run]) -> dict[str, Any]:
    """Numbers as they are, not as they are shown."""
    groups = comparison.make_groups(runs)
    told = []
    for group in groups:
        own = {"label": group.label, "runs": len(group.runs), "columns": {}}
        for column in comparison.COLUMNS:
            mean = statistics.mean_of(comparison.values_of(group, column))
            own["columns"][column.key] = mean._asdict()
            found = comparison.difference(groups[0], group, column)
            if group is not groups[0] and found is not None:
                own["columns"][column.key]["against_first"] = found._asdict()
        told.append(own)
    rows = list(map(_row, runs, comparison.names_of(runs)))
    return {"runs": rows, "groups": told}


def _row(run: Run, name: str) -> dict[str, Any]:
    values = {column.key: column.value(run) for column in comparison.COLUMNS}
    about = {"run": name, "method": run.config["method"], "seed": run.config["seed"]}
    return {**about, "space": space_name(run.space), "state": run.state, **values}


def _json(runs: Sequence[Run]) -> str:
    return json.dumps(_as_object(runs), ensure_ascii=False, indent=1) + "\n"


def _csv(runs: Sequence[Run]) -> str:
    rows = _as_object(runs)["runs"]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


_MAKERS = {"html": _html, "json": _json, "csv": _csv}


def _write(kind: str, path: str, content: str) -> None:
    """Writes a file.

    Raises:
      InputError: it can't be written.
    """
    try:
        storage.write_text(path, content)
    except OSError as error:
        raise InputError(
            f"--{kind} {path!r} cannot be written ({error.strerror}); name a file in a "
            "folder that exists."
        ) from error


if __name__ == "__main__":
    sys.exit(command.run("compare", main))
