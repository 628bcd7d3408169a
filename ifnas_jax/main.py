"""Searches an architecture, retrains it and tests it.

    python -m ifnas_jax.main --config=configs/lchain4.py:mnist5k --workdir=runs/first

Any field of the config can be set: --config.search.batch_size=64. Started again with
the same workdir, a run goes on where it was, or says that it is done.
"""

import importlib.metadata
import os
import platform
import sys
from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax import files
from ifnas_jax.architecture import load
from ifnas_jax.errors import DivergedError, InputError
from ifnas_jax.flags import load_config, make_parser
from ifnas_jax.host_memory import keep_freed_memory
from ifnas_jax.validation import validate

PACKAGES = ("ifnas_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Returns:
      0; 2 after bad input; 3 if training diverged; 130 after Ctrl-C.
    """
    parser = make_parser("ifnas_jax.main", __doc__)
    parser.add_argument(
        "--config",
        required=True,
        metavar="FILE.py[:DATASET]",
        help="what to do, and on which data set (default: imagenet2012)",
    )
    parser.add_argument(
        "--workdir",
        required=True,
        metavar="DIR",
        help="where the run keeps everything that it writes",
    )
    arguments, overrides = parser.parse_known_args(argv)
    keep_freed_memory()
    try:
        run(load_config(arguments.config, overrides), arguments.workdir)
    except InputError as error:
        print(f"ifnas_jax: {error}", file=sys.stderr)
        return 2
    except DivergedError as error:
        print(f"ifnas_jax: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print(
            "ifnas_jax: interrupted; the same command goes on at the last checkpoint.",
            file=sys.stderr,
        )
        return 130
    return 0


def run(config: ConfigDict, workdir: str) -> None:
    """Runs the jobs of a config in a workdir, those that are not done yet.

    Raises:
      InputError: the config, the data set or the workdir can't be used.
      DivergedError: the loss is not finite.
    """
    validate(config)
    stored = _stored_config(workdir)
    config_lib.resolve(config, stored)
    _check_same(config, stored, workdir)
    if _is_done(config, workdir):
        _show(workdir, "is done already")
        return
    # JAX and the data libraries are imported only when there is work to do.
    from ifnas_jax import training
    from ifnas_jax.checks import check_run
    from ifnas_jax.data.source import open_dataset

    versions = _versions()
    dataset = open_dataset(config.dataset)
    config.dataset.num_classes = dataset.num_classes
    config.dataset.classes = dataset.classes
    config.dtype = training.compute_dtype(config).name
    validate(config)
    check_run(config, dataset, workdir)
    _claim(config, workdir)
    if "search" in config.jobs:
        from ifnas_jax.search import search

        search(config, dataset, workdir)
    if "retrain" in config.jobs:
        from ifnas_jax.retrain import retrain

        retrain(config, dataset, workdir)
    _write_result(config, workdir, versions)
    _show(workdir, "is done")


def _versions() -> dict[str, str]:
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


def _stored_config(workdir: str) -> dict[str, Any] | None:
    path = os.path.join(workdir, "config.json")
    if not os.path.exists(path):
        return None
    try:
        stored = files.read_json(path)
        # Read here, so that a damaged file is noticed here.
        _ = stored["dataset"]["num_classes"], stored["dtype"]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"--workdir {workdir!r} holds a config.json that is no config ({error}); "
            "restore it, or use another workdir."
        ) from error
    return stored


def _check_same(config: ConfigDict, stored: dict[str, Any] | None, workdir: str):
    """Refuses a workdir whose run was of another config.

    `jobs` may differ, to retrain later; so may where the data is, and whether what
    can't be read of it is skipped: a run stops at the first such example.
    """
    if stored is None:
        return
    free = ("jobs", "dataset.data_dir", "dataset.on_unreadable")
    differing = [
        field
        for field in config_lib.differences(config, stored)
        if field.split(" ")[0] not in free
    ]
    if differing:
        raise InputError(
            f"--workdir {workdir!r} holds a run with another config: "
            f"{'; '.join(differing)}; set these as they were, or use another workdir."
        )


def _claim(config: ConfigDict, workdir: str) -> None:
    from ifnas_jax import distributed

    if not distributed.is_primary():
        return
    try:
        os.makedirs(workdir, exist_ok=True)
        path = os.path.join(workdir, "config.json")
        files.write_text(path, config_lib.to_json(config))
    except OSError as error:
        raise InputError(
            f"--workdir {workdir!r} cannot be written ({error.strerror}); name a "
            "folder that can."
        ) from error


def _is_done(config: ConfigDict, workdir: str) -> bool:
    """Whether the workdir's result covers the jobs that are asked for."""
    path = os.path.join(workdir, "result.json")
    if not os.path.exists(path):
        return False
    return "retrain" not in config.jobs or files.read_json(path)["top1"] is not None


def _write_result(config: ConfigDict, workdir: str, versions: dict[str, str]) -> None:
    from ifnas_jax import distributed
    from ifnas_jax.report.curves import write_report

    if not distributed.is_primary():
        return
    path = os.path.join
    architecture = load(path(workdir, "search", "architecture.json"))
    search = _read_summary(workdir, "search")
    retrain = _read_summary(workdir, "retrain")
    total = architecture.cost()
    result = {
        "method": config.method,
        "space": architecture.space.name,
        "num_precursors": architecture.space.num_precursors,
        "dataset": config.dataset.name,
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
        "versions": versions,
        "devices": distributed.describe_devices(),
    }
    write_report(workdir)
    files.write_json(path(workdir, "result.json"), result)


def _read_summary(workdir: str, job: str) -> dict[str, Any]:
    path = os.path.join(workdir, job, "summary.json")
    return files.read_json(path) if os.path.exists(path) else {}


def _show(workdir: str, state: str) -> None:
    """The result in a few lines."""
    result = files.read_json(os.path.join(workdir, "result.json"))
    print(f"{workdir} {state}:")
    if result["top1"] is not None:
        print(f"  test top-1   {100 * result['top1']:.2f} %")
        print(f"  test top-5   {100 * result['top5']:.2f} %")
    target = f"target {result['target_madds'] / 1e6:.2f}M, met by "
    met = f" ({target}{result['target_met_by']})" if result["target_met_by"] else ""
    print(f"  MAdds        {result['madds'] / 1e6:.2f}M{met}")
    print(f"  parameters   {result['params'] / 1e6:.3f}M")
    print(f"  depth        {result['depth']}")
    print(f"  figures      {os.path.join(workdir, 'report')}")


if __name__ == "__main__":
    sys.exit(main())
