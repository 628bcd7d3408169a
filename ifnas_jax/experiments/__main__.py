"""Runs an experiment: a table or a figure of the paper, or a test of what it claims.

    python -m ifnas_jax.experiments claims --scale=proxy --seeds=5 --workdir=runs/claims

Each is a sweep of ordinary runs. What is done is not repeated: the same command goes on
where it was, more --seeds run the new ones only, and experiments that share a --workdir
share the runs that they have in common. Tables are printed, and written as Markdown,
CSV, LaTeX and JSON, figures as SVG, to DIR/results/. Any field of the config can be set
for all runs: --config.search.batch_size=32.

Many machines that share a disk each run a part: --part=2/8 (launch/ has a Slurm array
and an indexed Kubernetes job), or a Ray cluster takes it all: --engine=ray.
"""

import functools
import importlib
import os
import shlex
import signal
import sys
from argparse import Namespace
from collections.abc import Sequence

from ifnas_jax import command, storage
from ifnas_jax import main as one_run
from ifnas_jax.command import make_parser
from ifnas_jax.errors import InputError, PreemptedError, StorageError

# What there is, in the order of the paper, and then what goes beyond it.
NAMES = (
    *("table1", "table2", "table3", "table4", "table5", "table6"),
    *("figure1", "figure4", "figure5", "figure6", "figure7", "figure8"),
    *("chain", "tuning", "claims", "larger", "ranking"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Returns:
      0; 2 after bad input; 4 if files can't be used; 75 after SIGTERM.
    """
    arguments, overrides = _parse(argv)
    signal.signal(signal.SIGTERM, one_run.stop)
    if arguments.minutes > 0:
        # As if somebody had asked for it.
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        signal.setitimer(signal.ITIMER_REAL, 60 * arguments.minutes)
    try:
        _run(arguments, overrides, list(sys.argv[1:] if argv is None else argv))
    except InputError as error:
        print(f"experiments: {error}", file=sys.stderr)
        return 2
    except PreemptedError:
        why = "stopped by SIGTERM"
        if arguments.minutes:
            why += f", or after --minutes={arguments.minutes:g}"
        print(
            f"experiments: {why}; the same command goes on from here.", file=sys.stderr
        )
        return 75
    except (StorageError, OSError) as error:
        print(f"experiments: {one_run.describe(error)}", file=sys.stderr)
        return 4
    return 0


def _parse(argv: Sequence[str] | None) -> tuple[Namespace, list[str]]:
    parser = make_parser("ifnas_jax.experiments", __doc__)
    add = parser.add_argument
    add("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    add("--workdir", required=True, metavar="DIR", help="where it keeps its runs")
    add(
        "--scale",
        default="proxy",
        choices=("proxy", "gpu", "paper"),
        help="proxy: for two cores; gpu: for one GPU; paper: as the paper has it",
    )
    add("--seeds", type=int, default=None, metavar="N", help="how many; default: 5, "
        "or as many as the paper has")  # fmt: skip
    add("--first-seed", type=int, default=None, metavar="N", help="default: 0")
    add("--dataset", default="", help="default: cifar10, or the paper's; or folder")
    add("--data-dir", default="", metavar="DIR", help="where it is, if not in TFDS'")
    add("--data-name", default="", metavar="TEXT", help="what tables call it")
    add("--only", default="", metavar="LABELS", help="of settings, with ; between")
    add("--part", default="1/1", metavar="K/N", help="run the K-th of N parts")
    add("--engine", default="", choices=("", "ray"), help="ray: as tasks of a cluster")
    add("--cores", type=int, default=1, metavar="N", help="of a task of the engine")
    add("--gpus", type=float, default=0, metavar="N", help="the same")
    add("--cells", default="", metavar="DIR", help="of small result files; default: "
        "DIR/cells")  # fmt: skip
    add("--minutes", type=float, default=0.0, metavar="N", help="save and stop then; "
        "the same command goes on")  # fmt: skip
    add("--show", action="store_true", help="run nothing; show what is done")
    return parser.parse_known_args(argv)


def _run(arguments: Namespace, overrides: Sequence[str], argv: Sequence[str]) -> None:
    """Runs what is not done, and shows what is.

    Raises:
      InputError: an argument does not fit.
      As `cells.run_cell`.
    """
    from ifnas_jax.experiments import outputs, scales, sweep
    from ifnas_jax.experiments.cells import Place
    from ifnas_jax.experiments.results import Results

    experiment = importlib.import_module(f"ifnas_jax.experiments.{arguments.name}")
    base = functools.partial(
        scales.base,
        arguments.scale,
        arguments.dataset,
        arguments.data_dir,
        tuple(overrides),
    )
    settings = experiment.settings(base)
    _check_names(settings)
    seeds = scales.seeds_of(experiment, arguments)
    if arguments.only:
        settings = _chosen(settings, arguments.only.split(";"))
    workdir = storage.named("--workdir", arguments.workdir)
    cells = storage.named("--cells", arguments.cells) if arguments.cells else ""
    place = Place(workdir, cells)
    if not arguments.show:
        _run_cells(arguments, settings, seeds, place)
    rows = sweep.rows_of(settings, seeds, place)
    results = Results(rows, settings, arguments.scale, place)
    missing = sweep.missing(settings, seeds, place)
    if missing and arguments.part != "1/1" and not arguments.show:
        print(f"{len(missing)} cells of other parts are not done; --show tells of all.")
        return
    told = shlex.join(["python", "-m", "ifnas_jax.experiments", *argv])
    names = ", ".join(dict.fromkeys(own.config.dataset.name for own in settings))
    lines = outputs.provenance(
        results, arguments.data_name or names, told, len(missing)
    )
    tables, figures = experiment.tables(results), experiment.figures(results)
    outputs.show(tables, lines)
    raw = {"experiment": arguments.name, "about": lines, "cells": rows}
    folder = os.path.join(workdir, "results")
    written = outputs.write(folder, arguments.name, tables, figures, lines, raw)
    print("\n" + "\n".join(["written:", *(f"  {path}" for path in written)]))


def _run_cells(arguments: Namespace, settings, seeds, place) -> None:
    """Runs those that are not done, of the part that is asked for.

    Raises:
      As `_run`.
    """
    import jax

    from ifnas_jax.experiments import sweep

    together = jax.default_backend() != "cpu" and arguments.engine != "ray"
    every = sweep.units(settings, seeds, together)
    every = sweep.part_of(every, arguments.part)
    missing = sweep.missing(settings, seeds, place)
    if missing:
        rows = sweep.rows_of(settings, seeds, place)
        sweep.check_data(rows, missing[0].setting.config)
    if arguments.engine == "ray":
        sweep.run_with_ray(every, place, arguments.cores, arguments.gpus)
    else:
        sweep.run_here(every, place)


def _check_names(settings) -> None:
    """Refuses flags that make settings alike, whose runs would be taken for one."""
    labels: dict[str, str] = {}
    for own in settings:
        other = labels.setdefault(own.name, own.label)
        if other != own.label:
            raise InputError(
                f"with these flags {other!r} and {own.label!r} are the same; leave the "
                "field out in which they differ."
            )


def _chosen(settings, labels: Sequence[str]):
    known = [own.label for own in settings]
    for label in labels:
        if label not in known:
            raise InputError(f"--only names {label!r}; choose from {known}.")
    return [own for own in settings if own.label in labels]


if __name__ == "__main__":
    sys.exit(command.run("experiments", main))
