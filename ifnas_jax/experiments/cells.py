"""Runs one cell, an ordinary run in a workdir of its own, and says what came out."""

import glob
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax import files, main, storage
from ifnas_jax.architecture import Architecture, from_kept
from ifnas_jax.architecture.kept import KeptEdge, KeptStage
from ifnas_jax.errors import FAILURES, InputError
from ifnas_jax.experiments import measures
from ifnas_jax.experiments.settings import SEARCH, STUDY, Cell
from ifnas_jax.report.run import read_run
from ifnas_jax.report.tables import describe_architecture
from ifnas_jax.run import result
from ifnas_jax.run.workdir import Workdir
from ifnas_jax.runtime import distributed

# What is read of a cell's file.
_SHOWN = {"setting": str, "seed": int, "what": str, "seconds": float}


class Place:
    """Where a sweep keeps its runs, and the small files of what came out.

    Attributes:
      workdir: of the sweep.
      runs: the folder of workdirs.
      cells: the folder of the files.
    """

    def __init__(self, workdir: str, cells: str = ""):
        """Makes nothing.

        Args:
          workdir: of the sweep.
          cells: another place for the files than a folder in it.
        """
        self.workdir = workdir
        self.runs = os.path.join(workdir, "runs")
        self.cells = cells or os.path.join(workdir, "cells")

    def run(self, cell: Cell) -> Workdir:
        """The workdir of a cell's run: its own, or in that of many seeds."""
        pattern = f"{glob.escape(self.runs)}/{cell.setting.name}-seeds-*-*"
        if cell.what == SEARCH:
            for path in sorted(glob.glob(pattern)):
                own = Workdir(path).of_seed(cell.seed)
                if storage.is_file(own.config):
                    return own
        return Workdir(os.path.join(self.runs, cell.name))

    def population(self, cells: Sequence[Cell]) -> Workdir:
        """The workdir of searches that are one program."""
        first, last = cells[0], cells[-1]
        name = f"{first.setting.name}-seeds-{first.seed}-{last.seed}"
        return Workdir(os.path.join(self.runs, name))

    def file(self, cell: Cell) -> str:
        """What came out of a cell."""
        return os.path.join(self.cells, f"{cell.name}.json")

    def read(self, cell: Cell) -> dict[str, Any] | None:
        """What came out of a cell; None if it has not been run.

        Raises:
          InputError: the file is damaged.
        """
        path = self.file(cell)
        return files.read_json(path, _SHOWN) if storage.exists(path) else None


def run_cell(cell: Cell, place: Place) -> dict[str, Any]:
    """Runs a cell, or goes on with it, and writes what came out.

    What diverges, or can't meet its target, is a result too: "failed" says why.

    Raises:
      InputError: it can't be run.
      PreemptedError, StorageError, OSError: as `main.run`.
    """
    begun = time.time()
    ways = {SEARCH: _search, STUDY: cell.setting.study}
    try:
        told = ways.get(cell.what, _train)(cell, place)
    except FAILURES as error:
        told = {"failed": str(error)}
    return _write(cell, place, told, time.time() - begun)


def is_blocked(cell: Cell, place: Place) -> bool:
    """Whether it can't be run, since the search whose network it trains failed."""
    trains = cell.what not in (SEARCH, STUDY) and cell.setting.architecture is None
    row = place.read(Cell(cell.setting, cell.seed, SEARCH)) if trains else None
    return row is not None and "failed" in row


def run_searches(cells: Sequence[Cell], place: Place) -> None:
    """Runs the searches of one setting with consecutive seeds as one program.

    Raises:
      As `run_cell`.
    """
    begun, first = time.time(), cells[0]
    config = first.setting.with_seed(first.seed, (SEARCH,))
    config.seeds = len(cells)
    workdir, why = place.population(cells), ""
    try:
        main.run(config, workdir.path)
    except FAILURES as error:
        why = str(error)
    seconds = (time.time() - begun) / len(cells)
    for cell in cells:
        own, told = workdir.of_seed(cell.seed), {"failed": why}
        if storage.exists(own.result):
            told = _tell(cell, own) | {"lanes": len(cells)}
        _write(cell, place, told, seconds)


def _write(
    cell: Cell, place: Place, told: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    """Writes what came out of a cell, and returns it."""
    setting = cell.setting
    row = {
        "setting": setting.label,
        "seed": cell.seed,
        "what": cell.what,
        "dataset": setting.config.dataset.name,
        "changes": setting.changes,
        "defaults": setting.defaults,
        **told,
        # Of the last start, everything included.
        "seconds": round(seconds, 1),
        "machine": machine(),
    }
    storage.make_folder(place.cells)
    files.write_json(place.file(cell), row)
    return row


def _search(cell: Cell, place: Place) -> dict[str, Any]:
    workdir = place.run(cell)
    main.run(cell.setting.with_seed(cell.seed, (SEARCH,)), workdir.path)
    return _tell(cell, workdir)


def _resolved(cell: Cell, workdir: Workdir, job: str) -> ConfigDict:
    """The config of a run that is done, with what its data set filled in."""
    config = cell.setting.with_seed(cell.seed, (job,))
    config_lib.resolve(config, files.read_json(workdir.config))
    return config


def _tell(cell: Cell, workdir: Workdir) -> dict[str, Any]:
    """What came out of a search."""
    run, config = read_run(workdir), _resolved(cell, workdir, SEARCH)
    told: dict[str, Any] = {"contents": config.dataset.contents}
    if run.search:  # There is nothing of a search that only draws.
        last = run.search[-1]
        told |= {
            **{name: round(last[name], 4) for name in ("loss", "accuracy")},
            "steps": last["step"],
            "gates": run.gates[-1],
            "at": [row["step"] for row in run.gates],
            "entropy": measures.entropy(run.gates),
            "agreement": measures.agreement(run.gates),
            "pre1": measures.pre1(run.gates[-1]),
            **measures.active_pairs(config),
        }
    networks = {}
    for what in cell.setting.networks:
        given = what in ("found", config.derive)
        own = run.found if given else measures.derive(config, run.gates[-1], what)
        networks[what] = _facts(own)
    names = ("search_seconds", "compile_seconds", "target_met_by")
    return {
        **{name: run.result[name] for name in names},
        **told,
        "networks": networks,
    }


def _train(cell: Cell, place: Place) -> dict[str, Any]:
    workdir, job = place.run(cell), "retrain"
    config = cell.setting.with_seed(cell.seed, (job,))
    network = _network(cell, place, config)
    if not storage.exists(workdir.search.architecture):
        storage.make_folder(workdir.search.directory)
        network.save(workdir.search.architecture)
    main.run(config, workdir.path)
    came = read_run(workdir).result
    names = ("top1", "top5", "retrain_seconds", "compile_seconds")
    told = {"contents": _resolved(cell, workdir, job).dataset.contents}
    return {**told, **_facts(network), **{name: came[name] for name in names}}


def _network(cell: Cell, place: Place, config: ConfigDict) -> Architecture:
    """What a cell trains.

    Raises:
      InputError: its search has not been run.
    """
    if cell.setting.architecture is not None:
        return cell.setting.architecture(config)
    searched = Cell(cell.setting, cell.seed, SEARCH)
    row = place.read(searched)
    if row is None or "failed" in row:
        raise InputError(
            f"there is no cell {searched.name!r}, whose network {cell.what!r} is to be "
            "trained; run its search first."
        )
    return architecture_of(row["networks"][cell.what], config)


def architecture_of(facts: Mapping[str, Any], config: ConfigDict) -> Architecture:
    """The network that a cell's file tells of.

    Args:
      facts: of it.
      config: of its space and sizes.
    """
    space, kept = config_lib.space(config), []
    for graph, edges in zip(space.stages, facts["stages"], strict=True):
        own = tuple(map(_edge, edges))
        kept.append(KeptStage(graph, own).kept(space.operators))
    return from_kept(space, kept, config_lib.macro(config))


def _edge(text: str) -> KeptEdge:
    """Of a text that `_facts` made of it."""
    ends, *ops = text.split()
    return KeptEdge(*map(int, ends.split(">")), tuple(ops))


def _facts(network: Architecture) -> dict[str, Any]:
    """What a table tells of a network, and the network."""
    facts = describe_architecture(network)
    histogram = facts["precursor_histogram"]
    names = ("madds", "params", "depth", "interleaved_pairs")
    return {
        **{name: facts[name] for name in names},
        "pre1_edges": round(histogram["1"] / sum(histogram.values()), 4),
        "stages": [
            [f"{edge.src}>{edge.dst} {' '.join(edge.ops)}" for edge in stage.edges]
            for stage in network.stages
        ],
    }


def machine() -> Mapping[str, Any]:
    """What a cell was run with and on: versions, device, commit."""
    versions = result.versions()
    told = {name: versions[name] for name in ("python", "jax", "ifnas_jax")}
    return {
        **told,
        "commit": _commit(),
        "device": distributed.describe_devices()["kind"],
        "cores": os.cpu_count(),
        "system": platform.system(),
    }


def _commit() -> str:
    """Of the working copy that runs; empty if it is none, or git is not there."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=10"],
            cwd=os.path.dirname(__file__),
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
