"""Whether a run may begin, or go on, in its workdir; all its processes agree on it.

Nothing here imports JAX if this process is alone, so that a finished run says so soon.
"""

from typing import Any

from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax import files, storage
from ifnas_jax.architecture import Architecture
from ifnas_jax.config import earlier
from ifnas_jax.config.validation import check_budget
from ifnas_jax.errors import InputError, StorageError
from ifnas_jax.run import given, population, result
from ifnas_jax.run.lock import Lock
from ifnas_jax.run.workdir import Workdir
from ifnas_jax.runtime.cluster import Cluster


def look(
    config: ConfigDict, workdir: Workdir, cluster: Cluster | None
) -> tuple[dict[str, Any] | None, bool]:
    """The config stored in the workdir, and whether its jobs are done."""

    def look():
        stored = stored_config(workdir)
        if config.seeds > 1:
            seeds = range(config.seed, config.seed + config.seeds)
            return stored, population.is_done(workdir, seeds, config.jobs)
        return stored, result.covers(result.read(workdir), config.jobs)

    if cluster is None:
        return look()
    from ifnas_jax.runtime import distributed

    distributed.start(cluster)
    return distributed.from_primary(look)


def settle(
    config: ConfigDict,
    stored: dict[str, Any] | None,
    workdir: Workdir,
    cluster: Cluster | None,
) -> None:
    """Fills in what the config leaves open; without JAX if this process is alone."""

    def settle():
        config_lib.resolve(config, stored)
        _check_same(config, stored, workdir)

    if cluster is None:
        return settle()
    from ifnas_jax.runtime import distributed

    return distributed.together(settle)


def check_alike(config: ConfigDict, versions: dict[str, str]) -> None:
    """Refuses processes that don't run the same: they would train apart, unnoticed."""
    from ifnas_jax.runtime import distributed

    own = config_lib.flat(config) | {f"version of {k}": v for k, v in versions.items()}
    # Each has its own disk.
    del own["dataset.data_dir"]
    first = distributed.from_primary(lambda: own)

    def check():
        check_budget(config)
        for field in sorted(own.keys() | first.keys()):
            if not files.same(own.get(field), first.get(field)):
                raise InputError(
                    f"it has another {field} ({own.get(field)!r}) than process 0 "
                    f"({first.get(field)!r}); give all processes the same command line "
                    "and data, and install the same versions."
                )

    distributed.together(check)


def claim(
    config: ConfigDict,
    workdir: Workdir,
    stored: dict[str, Any] | None,
    lock: Lock,
    network: Architecture | None = None,
) -> None:
    """Takes the workdir, and writes `config.json`, if it is as `look` found it.

    Then writes the architecture that is given to train, if there is one.

    Raises:
      InputError: another run has it, or had it since then; or it can't be written, or
        has another architecture.
      StorageError: it can't be written any more.
    """
    if network is not None:
        given.check_same(network, workdir)
    try:
        storage.make_folder(workdir.path)
        lock.take()
        if stored_config(workdir) != stored:
            raise InputError(
                f"--workdir {workdir!r} was changed by another run just now; repeat "
                "the command."
            )
        storage.write_text(workdir.config, config_lib.to_json(config))
        if network is not None:
            given.put(network, workdir)
    except OSError as error:
        what = f"--workdir {workdir!r} cannot be written ({error.strerror}); "
        if stored is not None:
            what += "mend that, and the same command goes on at the last checkpoint."
            raise StorageError(what) from error
        raise InputError(what + "name a folder that can.") from error


def check_seed(config: ConfigDict, workdir: Workdir) -> dict[str, Any] | None:
    """The config stored in the workdir of one seed of many, which may be gone on with.

    Raises:
      InputError: it is another.
    """
    stored = stored_config(workdir)
    _check_same(config, stored, workdir)
    return stored


def is_first(cluster: Cluster | None) -> bool:
    """Whether this process has the workdir; without JAX if it is alone."""
    if cluster is None:
        return True
    from ifnas_jax.runtime import distributed

    return distributed.is_primary()


def stored_config(workdir: Workdir) -> dict[str, Any] | None:
    """The config of the run in a workdir; None if there is none.

    Raises:
      InputError: it is damaged, or lost.
      StorageError: it can't be read just now.
    """
    try:
        storage.read_bytes(workdir.config, storage.SMALL)
        stored = files.read_json(workdir.config, {"dataset": dict})
        # A run of an earlier version does not say.
        stored["dataset"].setdefault("test_split", "")
        stored["dataset"].setdefault("labels", [])
        if isinstance(stored.get("retrain"), dict):
            stored["retrain"].setdefault("weights", "")
        earlier.fill_in(stored)
        stored = {"seeds": 1, "lanes": "auto", "given": ""} | stored
        return stored
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise StorageError(
            f"--workdir {workdir!r} cannot be read ({error.strerror}); mend that, and "
            "repeat the command, which goes on at the last checkpoint if there is one."
        ) from error
    if storage.exists(workdir.result):
        raise InputError(
            f"--workdir {workdir!r} holds a result.json without the config.json that "
            "it is of; restore that, or use another workdir."
        )
    return None


def _check_same(config: ConfigDict, stored: dict[str, Any] | None, workdir: Workdir):
    """Refuses a workdir whose run was of another config.

    `jobs` may differ, to retrain later; so may where the data is, and whether what
    can't be read of it is skipped: a run stops at the first such example. Where there
    are many seeds, there may be more later, taken in another way.
    """
    if stored is None:
        return
    # What is read is told apart by `dataset.contents`; an earlier version tells less.
    free = ["jobs", "dataset.data_dir", "dataset.on_unreadable"]
    free += ["dataset.labels", "dataset.test_split"]
    if 1 not in (config.seeds, stored["seeds"]):
        free += ["seeds", "lanes"]
    differing = [
        field
        for field in config_lib.differences(config, stored)
        if field.split(" ")[0] not in free
        and not earlier.lacks(stored, field.split(" ")[0])
    ]
    if differing:
        raise InputError(
            f"--workdir {workdir!r} holds a run with another config: "
            f"{'; '.join(differing)}; set these as they were, or use another workdir."
        )
