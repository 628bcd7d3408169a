"""Seconds from the command to the first step, and to a finished run on mnist5k.

    python -m benchmarks.cold_start --json=FILE [--quick]

The command is the README's, in a process of its own: first with nothing prepared and
nothing compiled, then with the data set and the programs of the first run. The first
step is when it is handed to the device and its line of progress is printed. `--quick`
leaves it there; otherwise the cold run goes to its end. Run it with nothing beside it.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any

from ifnas_jax import files


def measure(folder: str, name: str, to_the_end: bool) -> dict[str, Any]:
    """Starts a run, with the data and the programs that `folder` has.

    Raises:
      RuntimeError: the run failed.
    """
    workdir = os.path.join(folder, name)
    command = [
        *(sys.executable, "-m", "ifnas_jax.main"),
        "--config=configs/lchain4.py:mnist5k",
        f"--workdir={workdir}",
        f"--config.dataset.data_dir={os.path.join(folder, 'data')}",
    ]
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": os.path.join(folder, "compiled")
    }
    row: dict[str, Any] = {"case": name, "first_step_s": None, "finished_s": None}
    start = time.perf_counter()
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("search  ") and row["first_step_s"] is None:
                row["first_step_s"] = round(time.perf_counter() - start, 1)
                if not to_the_end:
                    process.send_signal(signal.SIGKILL)
    if row["first_step_s"] is None:
        raise RuntimeError("".join(said[-20:]))
    if to_the_end and process.returncode == 0:
        row["finished_s"] = round(time.perf_counter() - start, 1)
        row |= files.read_json(os.path.join(workdir, "result.json"))
    elif to_the_end:
        raise RuntimeError("".join(said[-20:]))
    return row


def main(argv=None) -> None:
    """Measures, and prints as it goes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", required=True, help="where to write the rows")
    parser.add_argument("--quick", action="store_true", help="first steps only")
    arguments = parser.parse_args(argv)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("cold", "warm"):
            to_the_end = name == "cold" and not arguments.quick
            rows.append(measure(folder, name, to_the_end))
            row = rows[-1]
            end = f", finished {row['finished_s']} s" if row["finished_s"] else ""
            print(f"{name}: first step {row['first_step_s']} s{end}", flush=True)
            files.write_json(arguments.json, rows)


if __name__ == "__main__":
    main()
