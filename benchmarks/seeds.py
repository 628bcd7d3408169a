"""Runs methods over seeds, each to its end, and summarises them.

    python -m benchmarks.seeds --config=configs/lchain4.py:mnist5k \
        --methods=ifnas,dnas --seeds=0,1,2 --workdir=runs/seeds --json=FILE

A run that was interrupted goes on when the command is repeated; one that is done is
only read. Further arguments (--config.FIELD=VALUE) go to every run, so all of the
methods have to read these fields.
"""

import argparse
import os
import statistics
import subprocess
import sys

from ifnas_jax import files
from ifnas_jax.architecture import load
from ifnas_jax.report.tables import describe_architecture

COLUMNS = ("top1", "madds", "params", "depth", "pre1_share", "search_seconds")


def run(config: str, method: str, seed: int, workdir: str, overrides: list[str]):
    """Runs one method with one seed, and returns a row of the table."""
    command = [sys.executable, "-m", "ifnas_jax.main", f"--config={config}"]
    command += [f"--workdir={workdir}", f"--config.method={method}"]
    command += [f"--config.seed={seed}", *overrides]
    subprocess.run(command, check=True)
    result = files.read_json(os.path.join(workdir, "result.json"))
    found = load(os.path.join(workdir, "search", "architecture.json"))
    histogram = describe_architecture(found)["precursor_histogram"]
    return {
        **result,
        # The share of kept edges that come from the direct precursor.
        "pre1_share": round(histogram["1"] / sum(histogram.values()), 4),
        "prunings": len(
            {
                row["step"]
                for row in files.read_rows(
                    os.path.join(workdir, "search", "prunings.jsonl")
                )
            }
        ),
    }


def summarise(rows: list[dict]) -> dict:
    """Mean and sample standard deviation of each column."""
    summary = {"runs": len(rows)}
    for column in COLUMNS:
        values = [row[column] for row in rows]
        spread = statistics.stdev(values) if len(values) > 1 else None
        summary[column] = {"mean": statistics.mean(values), "std": spread}
    return summary


def main(argv=None) -> None:
    """Runs everything, one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", required=True)
    parser.add_argument("--methods", default="ifnas,dnas")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--json", required=True)
    arguments, overrides = parser.parse_known_args(argv)
    table = {"command": " ".join(["python -m benchmarks.seeds", *sys.argv[1:]])}
    table |= {"rows": [], "summary": {}}
    for method in arguments.methods.split(","):
        rows = []
        for seed in arguments.seeds.split(","):
            workdir = os.path.join(arguments.workdir, f"{method}-{seed}")
            rows.append(run(arguments.config, method, int(seed), workdir, overrides))
        table["rows"] += rows
        table["summary"][method] = summarise(rows)
        files.write_json(arguments.json, table)
        print(method, table["summary"][method], flush=True)


if __name__ == "__main__":
    main()
