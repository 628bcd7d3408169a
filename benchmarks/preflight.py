"""What full-size steps take of a TPU, compiled ahead of time.

    python -m benchmarks.preflight --json=benchmarks/results/preflight.json

A command whose row is in the file already is not repeated: on two cores one takes from
half a minute to 15. Memory and collectives are the compiler's; seconds are this
machine's. Prints the rows as the table of docs/preflight.md.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys

from ifnas_jax import files
from ifnas_jax.preflight.table import size

CHAINS = [f"--config=configs/lchain{length}.py" for length in (4, 6, 8)]
COMMANDS = [
    # 64 images a chip.
    *([chain, "--topology=v5e:2x2"] for chain in CHAINS),
    [CHAINS[0], "--topology=v5e:4x4"],
    [CHAINS[0], "--topology=v5e:2x2", "--find-batch"],
    # 128 images a chip.
    [
        CHAINS[0],
        "--topology=v5e:2x2",
        "--job=retrain",
        "--config.retrain.batch_size=512",
    ],
]


def main(argv=None) -> None:
    """Runs what is missing and writes it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", required=True, help="where to write the rows")
    path = parser.parse_args(argv).json
    rows = files.read_json(path) if os.path.exists(path) else []
    done = [row["command"] for row in rows]
    for options in COMMANDS:
        command = f"python -m ifnas_jax.preflight {shlex.join(options)}"
        if command in done:
            continue
        print(command, flush=True)
        run = [sys.executable, "-m", "ifnas_jax.preflight", *options, "--json"]
        out = subprocess.run(run, stdout=subprocess.PIPE, check=True).stdout
        rows.append({"command": command, **json.loads(out)})
        files.write_json(path, rows)
    print("\n".join(map(markdown, rows)))


def markdown(row: dict) -> str:
    """A line of the table in docs/preflight.md."""
    chain = row["config"].removeprefix("configs/lchain").removesuffix(".py")
    job = f"search, L = {chain}" if row["job"] == "search" else "retraining"
    (sent,), memory = row["collectives"], row["memory"]
    cells = [
        job,
        row["topology"],
        row["batch"]["device"],
        size(memory["temporaries"]),
        size(memory["needed"]),
        f"{sent['count']} of {size(sent['bytes'])}",
        f"{row['compile_seconds']:.0f} s",
    ]
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
