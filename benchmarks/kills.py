"""Kills a run again and again, and compares what it ends with to the byte.

    python -m benchmarks.kills --workdir=runs/kills --json=FILE [--kills=20] [--seed=0]

A small search and retraining on mnist5k run once undisturbed, then with SIGKILL at
random moments: half of them as soon as a checkpoint is being written, the others after
a random time. Fails if a byte of the logs, a weight or an accuracy differs, or a log
holds a step twice.
"""

import argparse
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

from ifnas_jax import files

# Logs and results that equal runs have in common, to the byte.
SAME = (
    "config.json",
    "search/architecture.json",
    "search/metrics.jsonl",
    "search/gates.jsonl",
    "search/prunings.jsonl",
    "retrain/metrics.jsonl",
)
SMALL = {
    "space.num_precursors": 3,
    "space.nodes": (2, 3, 2),
    "macro.width": 4,
    "macro.search_width": 4,
    "target_madds": 700_000,
    "sampling.period": 2,
    "search.batch_size": 16,
    "search.weights_epochs": 0.06,
    "search.beta_epochs": 0.03,
    "search.alpha_epochs": 0.03,
    "search.max_epochs": 2.0,
    "search.arch_learning_rate": 0.5,
    "search.valid_every": 4,
    "search.checkpoint_every": 1,
    "penalty.delta": 0.1,
    "penalty.prune_epochs": 2.0,
    "retrain.batch_size": 100,
    "retrain.epochs": 8,
    "log_every": 5,
    "tensorboard": False,
}


def start(workdir: pathlib.Path, overrides: list[str]) -> subprocess.Popen:
    """Starts the run, or goes on with it."""
    command = [sys.executable, "-m", "ifnas_jax.main"]
    command += ["--config=configs/lchain4.py:mnist5k", f"--workdir={workdir}"]
    command += [f"--config.{name}={value}" for name, value in SMALL.items()]
    env = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(workdir.parent / "compiled")}
    return subprocess.Popen(
        [*command, *overrides],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def finish(workdir: pathlib.Path, overrides: list[str]) -> float:
    """Lets the run come to its end; its seconds."""
    started = time.monotonic()
    process = start(workdir, overrides)
    output, _ = process.communicate()
    if process.returncode:
        sys.exit(f"a run ended with {process.returncode}:\n{output.decode()}")
    return time.monotonic() - started


def progress(workdir: pathlib.Path) -> tuple[str, int]:
    """The job that the run is at, and the last step in its log."""
    for job in ("retrain", "search"):
        rows = files.read_rows(workdir / job / "metrics.jsonl")
        if rows:
            return job, rows[-1]["step"]
    return "search", 0


def unfinished(workdir: pathlib.Path) -> set[pathlib.Path]:
    """The folders of checkpoints that are being written, or were when it was killed."""
    return set(workdir.glob("*/checkpoints/*tmp*"))


def kill(workdir, overrides, seconds: float, saves: int) -> dict | None:
    """Kills a run after it went on for some seconds, or at one of its next saves.

    Args:
      workdir: of the run.
      overrides: flags of the run.
      seconds: how long it goes on, at most.
      saves: 0, or which checkpoint it is killed at, as soon as that is begun.

    Returns:
      The moment; None if the run was done before it came.
    """
    before, old = progress(workdir), unfinished(workdir)
    seen, begun = set(old), 0
    process = start(workdir, overrides)
    while process.poll() is None and progress(workdir) == before:
        time.sleep(0.005)
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        begun += len(unfinished(workdir) - seen)
        seen |= unfinished(workdir)
        if saves and begun >= saves:
            break
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    output, _ = process.communicate()
    if process.returncode == 0:
        return None
    if process.returncode != -signal.SIGKILL:
        sys.exit(f"a run ended with {process.returncode}:\n{output.decode()}")
    job, step = progress(workdir)
    return {"job": job, "step": step, "saving": bool(unfinished(workdir) - old)}


def weights(workdir: pathlib.Path) -> dict[str, tuple[int, int]]:
    """Each job's newest checkpoint: its step, and the checksum of all its arrays."""
    found = {}
    for job in ("search", "retrain"):
        steps = [int(p.name) for p in (workdir / job / "checkpoints").glob("[0-9]*")]
        facts = workdir / job / "checkpoints" / str(max(steps)) / "facts" / "metadata"
        found[job] = max(steps), files.read_json(facts)["checksums"]["tree"]
    return found


def accuracies(workdir: pathlib.Path) -> tuple[float, float]:
    """Top-1 and top-5 on the test part."""
    result = files.read_json(workdir / "result.json")
    return result["top1"], result["top5"]


def compare(workdir: pathlib.Path, undisturbed: pathlib.Path) -> list[str]:
    """What is not the same: files by bytes, weights; and which logs repeat a step."""
    problems = [
        f"{name} differs"
        for name in SAME
        if (workdir / name).read_bytes() != (undisturbed / name).read_bytes()
    ]
    for what in (weights, accuracies):
        if what(workdir) != what(undisturbed):
            problems.append(f"{what.__name__} differ")
    for name in ("search/metrics.jsonl", "search/gates.jsonl", "retrain/metrics.jsonl"):
        steps = [row["step"] for row in files.read_rows(workdir / name)]
        if steps != sorted(set(steps)):
            problems.append(f"{name} has a step twice")
    return problems


def main(argv=None) -> None:
    """Runs, kills, compares."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workdir", required=True, help="where the runs are kept")
    parser.add_argument("--json", help="where to write what happened")
    parser.add_argument("--kills", type=int, default=20, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments, overrides = parser.parse_known_args(argv)
    root, rng = pathlib.Path(arguments.workdir).resolve(), random.Random(arguments.seed)
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    undisturbed, killed = root / "undisturbed", root / "killed"
    seconds = finish(undisturbed, overrides)
    print(f"undisturbed: {seconds:.0f} s", flush=True)
    moments, problems, runs = [], [], 0
    while len(moments) < arguments.kills:
        # In turn at a random moment, and at one of the next six checkpoints.
        if len(moments) % 2:
            moment = kill(killed, overrides, 60.0, rng.randint(1, 6))
        else:
            moment = kill(killed, overrides, rng.uniform(0.0, 6.0), 0)
        if moment is None:
            # It was done before its turn: compared, and begun anew.
            runs += 1
            problems += compare(killed, undisturbed)
            shutil.rmtree(killed)
            continue
        moments.append(moment)
        what = " while saving" if moment["saving"] else ""
        print(
            f"kill {len(moments):2}/{arguments.kills}: {moment['job']} after step "
            f"{moment['step']}{what}",
            flush=True,
        )
    finish(killed, overrides)
    problems += compare(killed, undisturbed)
    result = {
        "command": " ".join(["python -m benchmarks.kills", *sys.argv[1:]]),
        "kills": len(moments),
        "while_saving": sum(moment["saving"] for moment in moments),
        "runs": runs + 1,
        "files_compared": list(SAME),
        "weights": weights(undisturbed),
        "problems": problems,
        "moments": moments,
    }
    print(f"{len(moments)} kills over {runs + 1} runs: {problems or 'the same bytes'}")
    if arguments.json:
        files.write_json(arguments.json, result)
    if problems:
        sys.exit(1)


if __name__ == "__main__":
    main()
