"""`result.json`: what a run came to, in one file."""

import importlib.metadata
import math
import os
import platform
import shlex
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from ifnas_jax import files, storage
from ifnas_jax.architecture import load
from ifnas_jax.errors import InputError
from ifnas_jax.run.workdir import Workdir

PACKAGES = ("ifnas_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")

# Among so many classes five guesses can't miss, so that top-5 says nothing.
FIVE = 5

# What is shown of a result.
_SHOWN = {
    **dict.fromkeys(("top1", "top5"), (float, type(None))),
    **dict.fromkeys(("madds", "target_madds", "params", "depth"), int),
    "target_met_by": (str, type(None)),
}

# What is read of a job's summary.
_SUMMARY = {
    "search": {
        **dict.fromkeys(("search_seconds", "compile_seconds"), float),
        "target_met_by": (str, type(None)),
    },
    "retrain": dict.fromkeys(
        ("retrain_seconds", "compile_seconds", "top1", "top5"), float
    ),
}


def versions() -> dict[str, str]:
    """Of Python and the packages that decide what a run computes.

    Raises:
      InputError: one is not installed.
    """
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError as error:
            raise InputError(
                f"the package {package} is not installed; run 'pip install -e .' in "
                "the project's folder."
            ) from error
    return versions


def read(workdir: Workdir) -> dict[str, Any] | None:
    """The result, or None if there is none yet.

    Raises:
      InputError: it is damaged.
    """
    path = workdir.result
    return files.read_json(path, _SHOWN) if storage.exists(path) else None


def covers(result: Mapping[str, Any] | None, jobs: Collection[str]) -> bool:
    """Whether a result, if there is one, is of all the jobs that are asked for.

    The jobs of a finished run can be given anew, with retraining among them.
    """
    return result is not None and ("retrain" not in jobs or result["top1"] is not None)


def write(
    config: ConfigDict, workdir: Workdir, versions: dict[str, str], skipped: int
) -> None:
    """Writes `result.json`, of what the jobs left.

    Args:
      config: as the run resolved it.
      workdir: of the run.
      versions: of `versions`.
      skipped: images that the last start could not decode.

    Raises:
      InputError: a job's summary can't be read.
      OSError: the result can't be written.
    """
    from ifnas_jax.runtime import distributed

    architecture = load(workdir.search.architecture)
    search = _read_summary(workdir.search.summary, "search")
    retrain = _read_summary(workdir.retrain.summary, "retrain")
    total = architecture.cost()
    result = {
        "method": "given" if config.given else config.method,
        "space": architecture.space.name,
        "num_precursors": architecture.space.num_precursors,
        "dataset": config.dataset.name,
        "test_split": config.dataset.test_split,
        "seed": config.seed,
        "search_seconds": search.get("search_seconds"),
        "retrain_seconds": retrain.get("retrain_seconds"),
        "compile_seconds": round(
            search.get("compile_seconds", 0) + retrain.get("compile_seconds", 0), 1
        ),
        "top1": retrain.get("top1"),
        "top5": retrain.get("top5"),
        "params": total.params,
        "madds": total.madds,
        "target_madds": config.target_madds,
        "target_met_by": search.get("target_met_by"),
        "depth": architecture.depth(),
        "skipped_images": skipped,
        "versions": versions,
        "devices": distributed.describe_devices(),
    }
    # Its presence says that the run is done.
    files.write_json(workdir.result, result)


def is_unreported(workdir: Workdir) -> bool:
    """Whether a run that is done ended before it could write its report."""
    page, done = workdir.page, workdir.result
    if not storage.exists(done):
        done = workdir.summary  # of many seeds
    written = storage.modified(page) if storage.exists(page) else -math.inf
    return written < storage.modified(done)


def _read_summary(path: str, job: str) -> dict[str, Any]:
    return files.read_json(path, _SUMMARY[job]) if storage.exists(path) else {}


def show(workdir: Workdir, state: str) -> None:
    """The result in a few lines."""
    result = read(workdir)
    print(f"{workdir} {state}:")
    rows = list(_rows(workdir, result))
    width = max(len(name) for name, _ in rows) + 3
    for name, value in rows:
        print(f"  {name:{width}}{value}")
    print("\nnext:")
    for command in _next(workdir, trained=result["top1"] is not None):
        print(f"  {command}")


def _rows(workdir: Workdir, result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a result says, line by line: name and value."""
    if result["top1"] is not None:
        split = result.get("test_split", "test")
        yield f"{split} top-1", f"{100 * result['top1']:.2f} %"
        data = files.read_json(workdir.config, {"dataset": dict})["dataset"]
        if data.get("num_classes", 0) > FIVE:
            yield f"{split} top-5", f"{100 * result['top5']:.2f} %"
    target = f"target {result['target_madds'] / 1e6:.2f}M, met by "
    met = f" ({target}{result['target_met_by']})" if result["target_met_by"] else ""
    yield "MAdds", f"{result['madds'] / 1e6:.2f}M{met}"
    yield "parameters", f"{result['params'] / 1e6:.3f}M"
    yield "depth", f"{result['depth']}"
    if result.get("skipped_images"):
        yield "skipped", f"{result['skipped_images']} images that are not whole"
    yield "report", workdir.page


def _next(workdir: Workdir, trained: bool) -> list[str]:
    """Commands that a finished run is good for."""

    def flag(name: str, path: str) -> str:
        return f"--{name}={shlex.quote(path)}"

    found = flag("architecture", workdir.search.architecture)
    out = os.path.join(workdir, "export")
    export = f"{flag('workdir', workdir.path)} {flag('out', out)}"
    return [
        f"python -m ifnas_jax.inspect {found}",
        f"python -m ifnas_jax.export {export}{'' if trained else ' --weights=none'}",
    ]
