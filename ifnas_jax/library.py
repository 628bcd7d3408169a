"""Searching and retraining from Python: what the command line does, without one.

`docs/using.md` shows it. The process is left as it was found: its answer to SIGTERM,
and where JAX keeps what it compiles.
"""

import contextlib
import os
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from ifnas_jax import main
from ifnas_jax.architecture import Architecture
from ifnas_jax.config import command_line
from ifnas_jax.config.validation import check_overrides
from ifnas_jax.errors import InputError
from ifnas_jax.retraining import trained
from ifnas_jax.retraining.trained import Trained


def load_config(
    name: str | os.PathLike, fields: Mapping[str, Any] | None = None
) -> ConfigDict:
    """A config, as `--config=NAME` and `--config.FIELD=VALUE` make it.

    Args:
      name: of an installed config and a data set, as "lchain4:mnist5k", or a file.
      fields: values of fields by their whole names, as {"search.max_epochs": 10}.

    Raises:
      InputError: there is no such config, or a value is not one of its field.
    """
    name = os.fspath(name)
    overrides = [
        f"--config.{field}={_plain(value)}" for field, value in (fields or {}).items()
    ]
    config = command_line.load_config(name, overrides)
    check_overrides(config, command_line.load_config(name))
    return config


def _plain(value: Any) -> Any:
    """NumPy's numbers, also in tuples, as Python's."""
    if isinstance(value, tuple | list):
        return tuple(map(_plain, value))
    return value.tolist() if hasattr(value, "tolist") else value


def search(
    config: str | os.PathLike | ConfigDict, workdir: str | os.PathLike | None = None
) -> Architecture:
    """Searches an architecture.

    Args:
      config: of `load_config`, or what it takes. Its `jobs` are not asked.
      workdir: where everything is kept that the command would keep. Called again with
        it, a search goes on where it was, or gives what it has found. None: nothing is
        kept.

    Returns:
      The network that was found, at the config's sizes of retraining.

    Raises:
      InputError: the config, the data or the workdir can't be used.
      DivergedError: the loss is not finite.
      UnmetError: nothing that is left meets the target.
      StorageError, OSError: the workdir or the data can't be used any more.
      PreemptedError: SIGTERM came, and everything is saved.
    """
    config = _of_one(config, "search")
    config.jobs = ("search",)
    with _kept(workdir) as folder:
        run_undisturbed(config, folder)
        return trained.load_found(folder).architecture


def retrain(
    config: str | os.PathLike | ConfigDict,
    workdir: str | os.PathLike | None = None,
    architecture: Architecture | str | os.PathLike | None = None,
) -> Trained:
    """Trains a network from scratch, and tests it.

    Args:
      config: of `load_config`, or what it takes. Its `jobs` are not asked.
      workdir: as that of `search`.
      architecture: to train, or the path of its file: nodes, edges and operators are
        its own, sizes, data set and recipe the config's. None: what a search of this
        config has found in this workdir.

    Returns:
      The trained network, with its accuracy on the test part.

    Raises:
      As `search`.
    """
    config = _of_one(config, "retrain")
    config.jobs = ("retrain",)
    if architecture is None and workdir is None:
        raise InputError(
            "architecture is None and workdir is None, so there is no network to "
            "train; give one of them."
        )
    with _kept(workdir) as folder:
        run_undisturbed(config, folder, architecture)
        return trained.load_trained(folder)


def _of_one(config: str | os.PathLike | ConfigDict, name: str) -> ConfigDict:
    """A config of one's own to fill in, of one seed."""
    if not isinstance(config, ConfigDict):
        config = load_config(config)
    if config.seeds > 1:
        raise InputError(
            f"seeds is {config.seeds}, but {name} gives one network; set seeds to 1, "
            "or use python -m ifnas_jax.main."
        )
    # Of a copy, the type of each field is the same.
    return config.copy_and_resolve_references()


@contextlib.contextmanager
def _kept(workdir: str | os.PathLike | None) -> Iterator[str]:
    """The workdir; if there is none, a folder that is gone afterwards."""
    if workdir is not None:
        yield os.fspath(workdir)
        return
    with tempfile.TemporaryDirectory(prefix="ifnas-") as folder:
        yield folder


def run_undisturbed(
    config: ConfigDict,
    folder: str,
    architecture: Architecture | str | os.PathLike | None = None,
) -> None:
    """Runs a config as `main.run` does, and undoes what that does to the process."""
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    from ifnas_jax.runtime import termination

    names = "jax_compilation_cache_dir", "jax_persistent_cache_enable_xla_caches"
    before = {name: getattr(jax.config, name) for name in names}
    # Of other threads Python catches no signals.
    first = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        main.run(config, folder, architecture=architecture)
    finally:
        if first and handler is not None:
            signal.signal(signal.SIGTERM, handler)
        termination.forget()
        if before != {name: getattr(jax.config, name) for name in names}:
            for name, value in before.items():
                jax.config.update(name, value)
            compilation_cache.reset_cache()
