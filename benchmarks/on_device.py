"""Everything worth measuring on a strange device, the most important first.

    python -m benchmarks.on_device --minutes=9 --json=FILE

Made for a GPU that is lent for minutes: each measurement is a command of its own with
its own limit, and what it found is in FILE as soon as it is found, so that only what
the time does not reach is lost. Needs no network: packages are installed and data is
prepared beforehand (`mnist5k` needs none). With `torch` installed for the device,
PyTorch runs beside it. `--only=NAME,...` picks some; `--list` says what there is.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

from ifnas_jax import files

_MINUTE = 60.0
_ABOUT = {
    "step_small": "steps at 28 pixels, beside PyTorch's CUDA graph",
    "population": "eight seeds as lanes, beside one",
    "step_large": "steps at 224 pixels in bfloat16",
    "retrain": "a step of a 594M network at 224 pixels, its first state included",
    "seeds": "eight searches of mnist5k, from the command to their summary",
    "skipping": "loops over pairs, node by node, and what is left written out",
    "population_loops": "eight seeds as lanes of loops over pairs",
    "tests": "the tests of networks on this device",
}


class Task(NamedTuple):
    """A command, what it is for, and how many minutes it may take."""

    name: str
    about: str
    minutes: float
    command: list[str]


def tasks(folder: pathlib.Path, torch: str) -> list[Task]:
    """What there is to measure, the most important first.

    Args:
      folder: for what is written.
      torch: how PyTorch is run beside it.
    """
    small, large = "4:18,20,18:16:64:28:float32", "4:18,20,18:16:256:224:bfloat16"
    beside, search = f"--torch={torch}", "--config.jobs=('search',)"
    main = ["ifnas_jax.main", f"--workdir={folder / 'run'}", "--config.seeds=8", search]
    step, lanes = "benchmarks.search_step", "benchmarks.population_step"
    cases, networks = "--cases=whole,group,chain", "--cases=derived600M"
    rows = [
        ("step_small", 2.5, [step, f"--setting={small}", cases, beside]),
        ("population", 1.5, [lanes]),
        ("step_large", 2.0, [step, f"--setting={large}", cases, "--torch=none"]),
        ("retrain", 2.5, ["benchmarks.retrain_step", "--batch=128", networks, beside]),
        ("seeds", 3.0, [*main, "--config=configs/lchain4.py:mnist5k"]),
        ("skipping", 3.0, ["benchmarks.skipping", "--quick"]),
        ("population_loops", 2.0, [lanes, "--skipping=loops"]),
        ("tests", 4.0, ["pytest", "-n", "0", "-q", "tests/nn", "tests/training"]),
    ]
    made = []
    for name, minutes, (module, *flags) in rows:
        if module.startswith("benchmarks."):
            flags.append(f"--json={folder / name}.json")
        command = [sys.executable, "-m", module, *flags]
        made.append(Task(name, _ABOUT[name], minutes, command))
    return made


def run(task: Task, seconds: float, folder: pathlib.Path) -> dict:
    """What a command printed and wrote, within its limit."""
    start = time.monotonic()
    # What PyTorch has beside it JAX must not have taken.
    env = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", **os.environ}
    log = folder / f"{task.name}.log"
    with open(log, "wb") as file:
        process = subprocess.Popen(
            task.command, stdout=file, stderr=subprocess.STDOUT, env=env
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = None
    written = folder / f"{task.name}.json"
    tail = log.read_text("utf-8", "replace")[-2000:]
    return {
        "name": task.name,
        "about": task.about,
        "command": " ".join(task.command[1:]).replace(str(folder), "OUT"),
        "seconds": round(time.monotonic() - start, 1),
        "code": code,
        "rows": json.loads(written.read_text()) if written.is_file() else None,
        "printed": tail,
    }


def main(argv=None) -> int:
    """Measures what the time allows; whether all of it succeeded."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", required=True, help="where results are kept")
    parser.add_argument("--minutes", type=float, default=9.0, help="in all")
    parser.add_argument("--only", default="", help="names of tasks, with commas")
    parser.add_argument("--list", action="store_true", help="say what there is")
    arguments = parser.parse_args(argv)
    torch = "eager" if importlib.util.find_spec("torch") else "none"
    end = time.monotonic() + arguments.minutes * _MINUTE
    results = []
    with tempfile.TemporaryDirectory() as folder:
        every = tasks(pathlib.Path(folder), torch)
        names = [name for name in arguments.only.split(",") if name]
        unknown = set(names) - {task.name for task in every}
        if unknown:
            parser.error(f"--only names {sorted(unknown)}; see --list.")
        for task in every:
            if arguments.list:
                print(f"{task.name:18} {task.minutes:4.1f} min  {task.about}")
                continue
            left = end - time.monotonic()
            if left < 20 or (names and task.name not in names):
                continue
            limit = min(left, task.minutes * _MINUTE)
            results.append(run(task, limit, pathlib.Path(folder)))
            files.write_json(arguments.json, results)
            own = results[-1]
            state = "out of time" if own["code"] is None else f"code {own['code']}"
            print(f"== {task.name}: {own['seconds']} s, {state}", flush=True)
            print(own["printed"], flush=True)
    return int(any(own["code"] != 0 for own in results))


if __name__ == "__main__":
    sys.exit(main())
