"""The workdir of many seeds' runs: whose runs are in it, and whether they are done."""

from collections.abc import Collection

from ifnas_jax import files, storage
from ifnas_jax.errors import InputError
from ifnas_jax.run.workdir import Workdir

# What is shown of a summary, and of each run in it.
_SHOWN = {"runs": list, "failed": list, "means": dict, "stages": list}
_ROW = {
    **dict.fromkeys(("top1", "top5"), (float, type(None))),
    **dict.fromkeys(("seed", "madds", "params", "depth", "edges"), int),
    "target_met_by": (str, type(None)),
}


def workdirs_of(workdir: Workdir) -> list[Workdir]:
    """The workdirs of the seeds' runs; none if it is that of one run, or of nothing.

    Raises:
      InputError: its config can't be read.
    """
    if not storage.is_file(workdir.config):
        return []
    stored = files.read_json(workdir.config)
    if not isinstance(stored, dict):
        return []
    # A run of an earlier version does not say how many it has.
    first, seeds = stored.get("seed"), stored.get("seeds", 1)
    if type(first) is not int or type(seeds) is not int or seeds < 2:
        return []
    return [workdir.of_seed(first + number) for number in range(seeds)]


def is_done(workdir: Workdir, seeds: Collection[int], jobs: Collection[str]) -> bool:
    """Whether there is a summary, of the results of all these seeds and jobs.

    Raises:
      InputError: it is damaged.
    """
    if not storage.exists(workdir.summary):
        return False
    summary = files.read_json(workdir.summary, _SHOWN)
    try:
        rows = [files.check_object(row, _ROW) for row in summary["runs"]]
    except ValueError as error:
        raise InputError(
            f"{workdir.summary!r} is damaged ({error}); remove it, and the same "
            "command writes it again."
        ) from error
    trained = "retrain" in jobs
    done = {row["seed"] for row in rows if not trained or row["top1"] is not None}
    return set(seeds) <= done
