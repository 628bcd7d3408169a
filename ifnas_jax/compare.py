"""Shows runs of one space beside each other, from the files in their workdirs.

    python -m ifnas_jax.compare runs/if-0 runs/if-1 runs/dnas-0 --html=compare.html

Prints a row for each run, and mean ± standard deviation over those that differ in
nothing but the seed. The page adds gate curves and the architectures. A run that goes
on, or was stopped, is shown as unfinished, and does not count for means.
"""

import os
import sys
from collections.abc import Sequence

from ifnas_jax import command, storage
from ifnas_jax.command import make_parser
from ifnas_jax.errors import InputError
from ifnas_jax.report import comparison
from ifnas_jax.report.run import Run, read_run, space_name
from ifnas_jax.report.tables import aligned
from ifnas_jax.run import population
from ifnas_jax.run.workdir import Workdir

# What a terminal has room for.
_SHOWN = ("top-1 %", "MAdds", "params", "depth", "edges", "search s")


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
    arguments = parser.parse_args(argv)
    try:
        html = arguments.html and storage.reached("--html", arguments.html)
        if html:
            _check_name(html)
        runs = [read_run(workdir) for run in arguments.runs for workdir in _named(run)]
        comparison.check_comparable(runs)
        print(_table(runs))
        if html:
            _write(html, runs)
    except InputError as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"compare: {command.unusable(error, arguments.runs[0])}", file=sys.stderr)
        return 4
    return 0


def _named(run: str) -> list[Workdir]:
    """The workdir of a run, or those of the runs that lie in it: of many seeds."""
    workdir = Workdir(storage.reached("RUN", run))
    return population.workdirs_of(workdir) or [workdir]


def _check_name(path: str) -> None:
    """Refuses what a page would overwrite.

    Raises:
      InputError: it is not the name of a page.
    """
    suffix = os.path.splitext(path)[1]
    if suffix != ".html":
        raise InputError(
            f"--html {path!r} ends in {suffix or 'nothing'!r}; end its name in .html."
        )


def _table(runs: Sequence[Run]) -> str:
    columns = [x for x in comparison.COLUMNS if x.name in _SHOWN]
    header, rows = comparison.run_rows(runs, columns)
    lines = [space_name(runs[0].space), "", *aligned([header, *rows])]
    if len(runs) > 1:
        header, rows = comparison.group_rows(comparison.make_groups(runs), columns)
        lines += ["", *aligned([header, *rows])]
    return "\n".join(lines)


def _write(path: str, runs: Sequence[Run]) -> None:
    """Writes the page.

    Raises:
      InputError: it can't be written.
    """
    # Matplotlib takes a while to import, so only for a page.
    from ifnas_jax.report.comparison_page import make_page

    content = make_page(runs)
    try:
        storage.write_text(path, content)
    except OSError as error:
        raise InputError(
            f"--html {path!r} cannot be written ({error.strerror}); name a file in a "
            "folder that exists."
        ) from error


if __name__ == "__main__":
    sys.exit(command.run("compare", main))
