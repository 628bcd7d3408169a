"""Runs an experiment: a table or a figure of the paper, or a test of its claims.

    python -m ifnas_jax.experiments claims --scale=proxy --seeds=5 --workdir=runs/claims

Each experiment is a sweep of ordinary runs; what is done is not repeated, and the same
command goes on where it was. Settings that experiments share are run once, if they
have the same --workdir. With more --seeds only the new ones are run.
"""

import functools
import importlib
import sys
from collections.abc import Sequence

from ifnas_jax import command
from ifnas_jax.command import make_parser
from ifnas_jax.experiments import scales, sweep
from ifnas_jax.experiments.cells import Place

# What there is, in the order of the paper, and then what goes beyond it.
NAMES = ("claims",)


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit code."""
    parser = make_parser("ifnas_jax.experiments", __doc__)
    parser.add_argument("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--scale", default="proxy", choices=scales.SCALES)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--workdir", required=True, metavar="DIR")
    parser.add_argument("--cells", default="", metavar="DIR")
    parser.add_argument("--dataset", default="")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--part", default="1/1", metavar="K/N")
    parser.add_argument("--only", default="")
    arguments, overrides = parser.parse_known_args(argv)
    base = functools.partial(
        scales.base,
        arguments.scale,
        dataset=arguments.dataset,
        data_dir=arguments.data_dir,
        overrides=overrides,
    )
    module = importlib.import_module(f"ifnas_jax.experiments.{arguments.name}")
    settings = module.settings(base)
    if arguments.only:
        settings = [s for s in settings if s.label in arguments.only.split(";")]
    place = Place(arguments.workdir, arguments.cells)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    every = sweep.part_of(sweep.units(settings, seeds), arguments.part)
    sweep.run_here(every, place)
    return 0


if __name__ == "__main__":
    sys.exit(command.run("experiments", run))
