"""A network that a run is given, to train it, in place of one that it would search."""

import dataclasses

from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax import storage
from ifnas_jax.architecture import Architecture, load
from ifnas_jax.errors import InputError
from ifnas_jax.run.workdir import Workdir


def adopt(config: ConfigDict, path: str) -> Architecture:
    """Loads it, and makes the config one of its space that trains only.

    Args:
      config: changed in place. Its sizes, data set and recipe are its own.
      path: of an `architecture.json`.

    Raises:
      InputError: it can't be read, or the config does not go with it.
    """
    given = load(storage.reached("--architecture", path))
    space = given.space
    if config.space.name != space.name:
        raise InputError(
            f"space.name is {config.space.name!r}, but --architecture {path!r} is of "
            f"{space.name!r}; use a config of its space."
        )
    if config.seeds > 1:
        raise InputError(
            f"seeds is {config.seeds}, but --architecture names one network; set seeds "
            "to 1, and give each seed a run."
        )
    config.jobs = ("retrain",)
    config.space.update(
        num_precursors=space.num_precursors,
        nodes=space.nodes,
        operators=space.operators,
    )
    if space.has_cells and not space.shared:
        # They differ, so there are as many as were searched.
        config.macro.update(cells=given.macro.cells, search_cells=given.macro.cells)
    return given


def sized(given: Architecture, config: ConfigDict) -> Architecture:
    """The network with the sizes of a config, whose number of classes is known."""
    return dataclasses.replace(given, macro=config_lib.macro(config))


def check_same(given: Architecture, workdir: Workdir) -> None:
    """Refuses a workdir that has another network.

    Args:
      given: with its sizes.
      workdir: of the run.

    Raises:
      InputError: it has.
    """
    path = workdir.search.architecture
    if storage.exists(path) and load(path).to_json() != given.to_json():
        raise InputError(
            f"--architecture is another network, or has other sizes, than {path!r}; "
            "use another workdir."
        )


def put(given: Architecture, workdir: Workdir) -> None:
    """Writes it where a search would have, if it is not there.

    Raises:
      OSError: it can't be written.
    """
    if not storage.exists(workdir.search.architecture):
        storage.make_folder(workdir.search.directory)
        given.save(workdir.search.architecture)
