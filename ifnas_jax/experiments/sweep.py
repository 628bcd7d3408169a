"""Runs the cells of an experiment that are not done, here or through an engine."""

import os
import time
from collections.abc import Sequence
from typing import Any, TypeVar

import jax
from ml_collections import ConfigDict

from ifnas_jax import jobs, storage
from ifnas_jax.errors import InputError
from ifnas_jax.experiments.cells import Place, is_blocked, run_cell, run_searches
from ifnas_jax.experiments.settings import (
    SEARCH,
    Cell,
    Setting,
    cells_of,
    every_cell,
    seeds_of,
)
from ifnas_jax.report.progress import countdown

Row = dict[str, Any]
T = TypeVar("T")


def units(
    settings: Sequence[Setting], seeds: Sequence[int], together: bool = False
) -> list[list[Cell]]:
    """What can be run at the same time: each unit's cells follow on each other.

    The first seed of all settings comes first, so that what is done at any time can be
    compared. Settings that share their runs have one unit, and so has a study with the
    runs that it needs.

    Args:
      settings: of an experiment.
      seeds: of those that have none of their own.
      together: whether all seeds of a setting are one unit, for populations.
    """
    found: dict[str, list[Cell]] = {}
    pairs = [
        (place, seed, setting)
        for setting in settings
        for place, seed in enumerate(seeds_of(setting, seeds))
    ]
    for _, seed, setting in sorted(pairs, key=lambda pair: pair[0]):
        name = (setting.after or setting).name
        own = found.setdefault(name if together else f"{name} {seed}", [])
        known = {cell.name for cell in own}
        own += [cell for cell in cells_of(setting, seed) if cell.name not in known]
    return list(found.values())


def part_of(every: Sequence[T], part: str) -> list[T]:
    """What is that of one of several processes, as "2/4" names it.

    Raises:
      InputError: it names none.
    """
    try:
        number, count = map(int, part.split("/"))
    except ValueError:
        number, count = 0, 0
    if not 1 <= number <= count:
        raise InputError(f"--part is {part!r}; write it as 2/4, the second of four.")
    return list(every[number - 1 :: count])


def run_here(every: Sequence[list[Cell]], place: Place) -> None:
    """Runs the cells that are not done, one after the other, and shows how far it is.

    Raises:
      As `cells.run_cell`.
    """
    _share_compiled(place)
    todo = [cell for unit in every for cell in unit if place.read(cell) is None]
    # Of searches one learns more, and sooner.
    todo.sort(key=lambda cell: cell.what != SEARCH)
    if jax.default_backend() != "cpu":
        todo = _search_populations(todo, place)
    begun, count = time.time(), 0
    for number, cell in enumerate(todo, start=1):
        name = f"cell {number} of {len(todo)}: {cell.setting.label}, seed {cell.seed}"
        if is_blocked(cell, place):
            print(f"{name}, {cell.what}: left out, its search failed", flush=True)
            continue
        eta = ""
        if count:
            left = (time.time() - begun) / count * (len(todo) - number + 1)
            eta = f", ETA {countdown(left)}"
        print(f"{name}, {cell.what}{eta}", flush=True)
        run_cell(cell, place)
        count += 1


def _search_populations(todo: Sequence[Cell], place: Place) -> list[Cell]:
    """Runs searches that differ in the seed alone as one program; what is left to run.

    On a CPU one after the other is as quick, and each is done sooner.
    """
    for own in consecutive(todo):
        label, seeds = own[0].setting.label, f"{own[0].seed} to {own[-1].seed}"
        print(f"{label}, seeds {seeds}: as one program", flush=True)
        run_searches(own, place)
    return [cell for cell in todo if place.read(cell) is None]


def consecutive(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Searches of one setting with consecutive seeds, where there are two or more.

    Settings are in the order of their first cell: that of their worth.
    """
    groups: list[list[Cell]] = []
    searches = [cell for cell in cells if cell.what == SEARCH]
    worth = {}
    for cell in searches:
        worth.setdefault(cell.setting.name, len(worth))
    for cell in sorted(searches, key=lambda x: (worth[x.setting.name], x.seed)):
        last = groups[-1][-1] if groups else None
        if last and (last.setting.name, last.seed + 1) == (
            cell.setting.name,
            cell.seed,
        ):
            groups[-1].append(cell)
        else:
            groups.append([cell])
    trained = [x for x in groups if x[0].setting.config.method != "random"]
    return [own for own in trained if len(own) > 1]


def run_with_ray(
    every: Sequence[list[Cell]], place: Place, cores: float = 1, gpus: float = 0
) -> None:
    """Runs units as tasks of a Ray cluster, this machine if there is no other.

    One that fails ends none of the others.

    Args:
      every: the units.
      place: on a disk that all of its machines have.
      cores: that each unit takes.
      gpus: the same.

    Raises:
      InputError: Ray is not installed.
      As `cells.run_cell`: of the first unit that failed, when all others are done.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError(
            "--engine is 'ray', which is not installed; run 'pip install ray', or "
            "leave --engine out."
        ) from error
    todo = [
        own for unit in every if (own := [c for c in unit if place.read(c) is None])
    ]
    ray.init(log_to_driver=False, ignore_reinit_error=True)
    begun, failed = time.time(), []
    run = ray.remote(num_cpus=cores, num_gpus=gpus)(run_here)
    waiting = [run.remote([unit], place) for unit in todo]
    try:
        while waiting:
            (done,), waiting = ray.wait(waiting)
            try:
                ray.get(done)
            except ray.exceptions.RayTaskError as error:
                failed.append(error.cause)
            count = len(todo) - len(waiting)
            left = (time.time() - begun) / count * len(waiting)
            print(f"unit {count} of {len(todo)}, ETA {countdown(left)}", flush=True)
    finally:
        ray.shutdown()
    if failed:
        raise failed[0]


def check_data(rows: Sequence[Row], config: ConfigDict) -> None:
    """Refuses to put results of two data sets of one name together.

    A folder of images has the name of any other.

    Args:
      rows: of cells that are done.
      config: of one that is not.

    Raises:
      InputError: the data set can't be opened, or is not theirs.
    """
    known = {row["contents"] for row in rows if "contents" in row}
    if config.dataset.name != "folder" or not known:
        return
    opened = config.copy_and_resolve_references()
    ours = jobs.open_data(opened, resumed=False).contents
    if known != {ours}:
        raise InputError(
            "dataset.data_dir is a folder with other images than those of the cells "
            "that are done; name theirs, or another --workdir."
        )


def rows_of(
    settings: Sequence[Setting], seeds: Sequence[int], place: Place
) -> list[Row]:
    """What came out of the cells that are done, of all settings under their labels."""
    rows = []
    for cell in every_cell(settings, seeds):
        row = place.read(cell)
        if row is not None:
            rows.append(row | {"setting": cell.setting.label})
    return rows


def missing(
    settings: Sequence[Setting], seeds: Sequence[int], place: Place
) -> list[Cell]:
    """Cells that have not been run."""
    return [x for x in every_cell(settings, seeds) if place.read(x) is None]


def _share_compiled(place: Place) -> None:
    """Programs are those of all cells that differ in masks and seeds alone."""
    if jax.config.jax_compilation_cache_dir is None:
        path = storage.absolute(os.path.join(place.workdir, "compiled"))
        jax.config.update("jax_compilation_cache_dir", path)
