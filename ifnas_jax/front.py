"""One search, many budgets: the networks that it passed through while it pruned.

    python -m ifnas_jax.front --workdir=runs/first --madds=15M,20M,25M
    python -m ifnas_jax.front --workdir=runs/first --madds=15M,20M,25M --retrain

Of each budget the first network that met it is saved, in front/BUDGET/ of the workdir.
With --retrain each is trained as the run's own network was, one after the other, unless
it is already. A table, front.json and a figure say what they cost and, once they are
retrained, how accurate they are. Given again, the command goes on where it was.
"""

import argparse
import os
import re
import sys
from collections.abc import Sequence

from ifnas_jax import command, files, storage
from ifnas_jax.command import make_parser
from ifnas_jax.errors import DivergedError, InputError, PreemptedError, StorageError
from ifnas_jax.main import run as run_jobs
from ifnas_jax.report import front
from ifnas_jax.report.front import Passed
from ifnas_jax.report.run import Run, name_of, read_run
from ifnas_jax.report.tables import aligned
from ifnas_jax.retraining.trained import load_found
from ifnas_jax.run import given, result

# Of the target, where no budgets are named.
_TIMES = (1.0, 1.25, 1.5, 2.0)

_EXIT = {InputError: 2, DivergedError: 3, StorageError: 4, PreemptedError: 75}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit code."""
    arguments = _parse(argv)
    try:
        _front(arguments)
    except PreemptedError:
        code, words = 75, "stopped by SIGTERM; the same command goes on from here."
    except (InputError, DivergedError, StorageError) as error:
        code = next(_EXIT[kind] for kind in type(error).mro() if kind in _EXIT)
        words = str(error)
    except OSError as error:
        code, words = 4, command.unusable(error, arguments.workdir)
    else:
        return 0
    print(f"front: {words}", file=sys.stderr)
    return code


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
    networks = [front.passed(run, budget) for budget in _budgets(arguments.madds, run)]
    for number, network in enumerate(networks, start=1):
        place = run.workdir.of_budget(network.budget)
        given.check_same(network.architecture, place)
        given.put(network.architecture, place)
        if arguments.retrain:
            print(f"front: {place}, {number} of {len(networks)}", flush=True)
            own = config.copy_and_resolve_references()
            run_jobs(own, place.path, architecture=network.architecture)
    _tell(run, [network._replace(top1=_top1(run, network)) for network in networks])


def _budgets(text: str, run: Run) -> list[int]:
    """MAdds, the fewest first.

    Raises:
      InputError: one is none.
    """
    if not text:
        target, whole = run.config["target_madds"], run.whole()
        budgets = {round(times * target) for times in _TIMES}
        return sorted(budget for budget in budgets if budget < whole)
    budgets = set()
    for word in text.split(","):
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([MG]?)", word.strip())
        if not found or float(found[1]) <= 0:
            raise InputError(
                f"--madds has {word!r}, which is no number of multiply-adds; give such "
                "as 400M, or 13500000."
            )
        budgets.add(round(float(found[1]) * {"": 1, "M": 1e6, "G": 1e9}[found[2]]))
    return sorted(budgets)


def _top1(run: Run, network: Passed) -> float | None:
    """Of a network that is retrained; the run's own need not be again."""
    told = result.read(run.workdir.of_budget(network.budget))
    own = run.found is not None and run.found.to_json()
    if told is None and network.architecture.to_json() == own:
        told = run.result
    return None if told is None else told["top1"]


def _tell(run: Run, networks: Sequence[Passed]) -> None:
    """Prints the table, and writes the JSON and the figure."""
    from ifnas_jax.report.files import save_figure

    rows = front.rows_of(networks)
    files.write_json(os.path.join(run.workdir.front, "front.json"), {"networks": rows})
    print("\n".join(aligned(front.table_of(rows))))
    if any(row["top1"] is not None for row in rows):
        title = f"{name_of(run)}: networks that one search passed through"
        path = os.path.join(run.workdir.front, "front")
        save_figure(front.draw_front(rows, title), path)
        print(f"\nfigure   {path}.svg")
    left = [network for network in networks if network.top1 is None]
    if left:
        place = storage.absolute(run.workdir.of_budget(left[0].budget).path)
        print(
            f"\n{len(left)} of {len(networks)} are not retrained: add --retrain, or "
            "train one elsewhere by python -m ifnas_jax.main with the run's --config, "
            f"--workdir={place} and --architecture={place}/search/architecture.json"
        )


if __name__ == "__main__":
    sys.exit(command.run("front", main))
