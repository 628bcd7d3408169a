"""One search, many budgets: the networks that it passed through while it pruned.

    python -m ifnas_jax.front --workdir=runs/first --madds=15M,20M,25M
    python -m ifnas_jax.front --workdir=runs/first --madds=15M,20M,25M --retrain

Of each budget the first network that met it is saved, in front/BUDGET/ of the workdir.
With --retrain each is trained as the run's own network was, one after the other, unless
it is already. A table, front.json and a figure say what they cost and, once they are
retrained, how accurate they are. Given again, the command goes on where it was.
"""

import argparse
import contextlib
import os
import re
import signal
import sys
from collections.abc import Sequence
from typing import Any

from ifnas_jax import command, files, storage
from ifnas_jax.command import make_parser
from ifnas_jax.errors import InputError, PreemptedError
from ifnas_jax.main import run as run_jobs
from ifnas_jax.main import stop
from ifnas_jax.report import front
from ifnas_jax.report.front import Passed
from ifnas_jax.report.run import Run, name_of, read_run
from ifnas_jax.report.tables import aligned
from ifnas_jax.retraining.trained import load_found
from ifnas_jax.run import given, result
from ifnas_jax.run.workdir import Workdir

# Of the target, where no budgets are named.
_TIMES = (1.0, 1.25, 1.5, 2.0)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit code."""
    arguments = _parse(argv)
    signal.signal(signal.SIGTERM, stop)
    try:
        _front(arguments)
    except PreemptedError:
        words = "stopped by SIGTERM; the same command goes on from here."
        print(f"front: {words}", file=sys.stderr)
        return 75
    except command.ERRORS as error:
        return command.failed("front", error, arguments.workdir)
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser("ifnas_jax.front", __doc__)
    add = parser.add_argument
    add("--workdir", required=True, metavar="DIR", help="of a run whose search is done")
    add("--madds", default="", metavar="BUDGET,...",
        help="as 400M or 13500000 (default: 1, 1.25, 1.5 and 2 times the target)"
        )  # fmt: skip
    add("--retrain", action="store_true", help="train each, as the run was")
    return parser.parse_args(argv)


def _front(arguments: argparse.Namespace) -> None:
    config = load_found(arguments.workdir).config
    run = read_run(arguments.workdir)
    front.check_prunes(run)
    asked = _budgets(arguments.madds, run)
    networks = [front.passed(run, budget) for budget in asked]
    for network in networks:
        place = run.workdir.of_budget(network.budget)
        _check_place(network, place)
        given.put(network.architecture, place)
    # With those that were asked for before.
    named = {network.budget: network for network in (*_kept(run), *networks)}
    known = [named[budget] for budget in sorted(named)]
    rows = _write(run, known)
    for number, network in enumerate(networks, start=1):
        if arguments.retrain and _top1(run, network) is None:
            place = run.workdir.of_budget(network.budget)
            print(f"front: {place}, {number} of {len(networks)}", flush=True)
            own = config.copy_and_resolve_references()
            own.jobs = ("retrain",)
            run_jobs(own, place.path, architecture=network.architecture)
            rows = _write(run, known)
    _tell(run, rows)


def _check_place(network: Passed, place: Workdir) -> None:
    """Refuses a folder that has another search's network.

    Raises:
      InputError: it has.
    """
    try:
        given.check_same(network.architecture, place)
    except InputError as error:
        raise InputError(
            f"{place} has a network of another search; remove it, and give the command "
            "again."
        ) from error


def _kept(run: Run) -> list[Passed]:
    """Networks that `front.json` has, of this search."""
    path = os.path.join(run.workdir.front, "front.json")
    if not storage.exists(path):
        return []
    found = []
    for row in files.read_json(path, {"networks": list})["networks"]:
        # One of another search, or edited by hand, is left out.
        with contextlib.suppress(InputError, ValueError):
            files.check_object(row, {"budget": int})
            found.append(front.passed(run, row["budget"]))
    return found


def _budgets(text: str, run: Run) -> list[int]:
    """MAdds, the fewest first.

    Raises:
      InputError: one is none.
    """
    if not text:
        target, whole = run.config["target_madds"], run.whole()
        budgets = {round(times * target) for times in _TIMES}
        least = run.prunings[-1]["madds"]
        within = sorted(own for own in budgets if least <= own < whole)
        if not within:
            raise InputError(
                f"target_madds is {target:,}, and no budget from that on lies between "
                f"the {least:,} that the search ended at and the super-network's "
                f"{whole:,}; give --madds."
            )
        return within
    budgets = set()
    for word in text.split(","):
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([MG]?)", word.strip())
        factor = {"": 1, "M": 1e6, "G": 1e9}[found[2]] if found else 0
        budget = float(found[1]) * factor if found else 0.0
        if not 0.5 < budget < 1e18:
            raise InputError(
                f"--madds has {word!r}, which is no number of multiply-adds; give such "
                "as 400M, or 13500000."
            )
        budgets.add(round(budget))
    return sorted(budgets)


def _top1(run: Run, network: Passed) -> float | None:
    """Of a network that is retrained; the run's own need not be again."""
    told = result.read(run.workdir.of_budget(network.budget))
    own = run.found is not None and run.found.to_json()
    if told is None and network.architecture.to_json() == own:
        told = run.result
    return None if told is None else told["top1"]


def _write(run: Run, networks: Sequence[Passed]) -> list[dict[str, Any]]:
    """Writes `front.json` of what is known so far; its rows."""
    rows = front.rows_of([x._replace(top1=_top1(run, x)) for x in networks])
    files.write_json(os.path.join(run.workdir.front, "front.json"), {"networks": rows})
    return rows


def _tell(run: Run, rows: Sequence[dict[str, Any]]) -> None:
    """Prints the table, and draws it."""
    from ifnas_jax.report.files import save_figure

    print("\n".join(aligned(front.table_of(rows))))
    if any(row["top1"] is not None for row in rows):
        title = f"{name_of(run)}: networks that one search passed through"
        path = os.path.join(run.workdir.front, "front")
        save_figure(front.draw_front(rows, title), path)
        print(f"\nfigure   {path}.svg")
    left = [row["budget"] for row in rows if row["top1"] is None]
    if left:
        place = storage.absolute(run.workdir.of_budget(left[0]).path)
        budgets = ", ".join(
            os.path.basename(run.workdir.of_budget(x).path) for x in left
        )
        print(
            f"\nnot retrained: {budgets}; name them in --madds with --retrain, or "
            "train one elsewhere by python -m ifnas_jax.main with the run's --config, "
            f"--workdir={place} and --architecture={place}/search/architecture.json"
        )


if __name__ == "__main__":
    sys.exit(command.run("front", main))
