"""Inputs from outside, drawn at random: is each refused clearly, or taken rightly?

    python -m benchmarks.fuzz [--cases=20000] [--seed=0] [--kind=NAME]
        [--json=benchmarks/results/fuzz.json]

A case is one input: a command line of a config, an architecture file, a log. What a
module of this folder says of its kind must hold for each; the first for which it does
not ends the command with the smallest such case, and nothing is written. About a
quarter of an hour on one core.
"""

import argparse
import platform
import sys
import time

import hypothesis

from benchmarks.fuzz import (
    architectures,
    checkpoints,
    configs,
    folders,
    harness,
    images,
    labels,
    logs,
    paths,
    shapes,
    workdirs,
)
from ifnas_jax import files

# What part of the cases is of which kind.
KINDS = {
    configs: 0.3,
    architectures: 0.2,
    paths: 0.05,
    workdirs: 0.1,
    logs: 0.1,
    labels: 0.05,
    checkpoints: 0.05,
    images: 0.1,
    shapes: 0.02,
    folders: 0.03,
}


def name(kind) -> str:
    """Of a kind: its module's."""
    return kind.__name__.rpartition(".")[2]


def main(argv=None) -> None:
    """Checks all kinds, and prints and writes how many cases there were."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=20_000, help="of all kinds")
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    parser.add_argument("--kind", action="append", help="only this, by its name")
    parser.add_argument("--json", help="where to write the counts")
    arguments = parser.parse_args(argv)
    rows = []
    for kind, part in KINDS.items():
        if arguments.kind and name(kind) not in arguments.kind:
            continue
        start = time.perf_counter()
        tally = harness.run(kind, round(part * arguments.cases), arguments.seed)
        row = {"kind": name(kind), "cases": tally.total(), **tally, "failures": 0}
        row["seconds"] = round(time.perf_counter() - start)
        rows.append(row)
        print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    if arguments.json:
        record = {
            "command": "python -m benchmarks.fuzz " + " ".join(argv or sys.argv[1:]),
            "seed": arguments.seed,
            "versions": {
                "python": platform.python_version(),
                "hypothesis": hypothesis.__version__,
            },
            "cases": sum(row["cases"] for row in rows),
            "failures": 0,
            "kinds": rows,
        }
        files.write_json(arguments.json, record)


if __name__ == "__main__":
    main()
