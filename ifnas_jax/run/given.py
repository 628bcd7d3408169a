"""A network that a run is given, to train it, in place of one that it would search."""

import dataclasses
import json
import os
import zlib

from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax import storage
from ifnas_jax.architecture import Architecture, load
from ifnas_jax.errors import InputError
from ifnas_jax.run.workdir import Workdir


def adopt(
    config: ConfigDict, network: Architecture | str | os.PathLike | None
) -> Architecture | None:
    """Loads it, if need be, and makes the config one of its space that trains only.

    Args:
      config: changed in place. Its sizes, data set and recipe are its own.
      network: one, or the path of an `architecture.json`, which every process sees;
        None: none is given.

    Raises:
      InputError: it can't be read, or the config does not go with it.
    """
    if config.given:
        raise InputError(
            f"given is {config.given!r}, but is filled in where --architecture names a "
            "network; leave it out."
        )
    if network is None:
        return None
    given, name = network, "the architecture"
    if not isinstance(given, Architecture):
        given = load(storage.reached("--architecture", network))
        name = f"--architecture {os.fspath(network)!r}"
    space = given.space
    if config.space.name != space.name:
        raise InputError(
            f"space.name is {config.space.name!r}, but {name} is of "
            f"{space.name!r}; use a config of its space."
        )
    if config.jobs == ("search",):
        raise InputError(
            "jobs is ('search',), but --architecture names a network to train; leave "
            "one of them out."
        )
    if config.seeds > 1:
        raise InputError(
            f"seeds is {config.seeds}, but --architecture names one network; set seeds "
            "to 1, and give each seed a run."
        )
    config.jobs, config.given = ("retrain",), checksum(given)
    config.space.update(
        num_precursors=space.num_precursors,
        # All cells have as many.
        nodes=space.nodes[:1] if space.has_cells else space.nodes,
        operators=space.operators,
    )
    if space.has_cells and not space.shared:
        # They differ, so there are as many as were searched.
        config.macro.update(cells=given.macro.cells, search_cells=given.macro.cells)
    return given


def checksum(given: Architecture) -> str:
    """What tells one network from another, whatever its sizes."""
    stages = given.to_json()["stages"]
    return f"{zlib.crc32(json.dumps(stages, sort_keys=True).encode()):08x}"


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
