"""A run as the files in its workdir tell it, finished or not. Needs no JAX."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ifnas_jax import config as config_lib
from ifnas_jax import files, storage
from ifnas_jax.architecture import Architecture, cost, from_kept, load
from ifnas_jax.errors import InputError
from ifnas_jax.run import result
from ifnas_jax.run.workdir import Workdir
from ifnas_jax.spaces import make_space
from ifnas_jax.spaces.graph import Space

Row = Mapping[str, Any]

# What is read of a config, in which each field has the type of its default.
_READ = (
    *("method", "derive", "seed", "target_madds", "jobs"),
    *("space.name", "space.num_precursors", "space.nodes", "space.operators"),
    *("macro.width", "macro.stem", "macro.cells", "macro.search_cells"),
    *("dataset.name", "dataset.num_classes"),
    *("dataset.image_size", "dataset.channels"),
    *("search.max_epochs", "retrain.epochs"),
)
_DEFAULTS = config_lib.flat(config_lib.default("imagenet2012"))
_CONFIG = {field: type(_DEFAULTS[field]) for field in _READ}

# What is read of each row of a log.
_METRICS = dict.fromkeys(("loss", "accuracy", "epoch"), float)
_SEARCH = {**_METRICS, **dict.fromkeys(("madds", "depth", "edges"), int), "phase": str}
_GATES = dict.fromkeys(("beta", "alpha"), list)
_PRUNINGS = {
    **dict.fromkeys(("stage", "src", "dst", "madds"), int),
    **dict.fromkeys(("op", "reason"), str),
}


@dataclasses.dataclass(frozen=True)
class Run:
    """What a workdir holds.

    Attributes:
      workdir: the folder.
      config: every field by its whole name.
      space: that was searched.
      macro: the sizes at which networks are priced.
      result: of `result.json`, or None.
      found: the network that was found, or None.
      search: rows of `search/metrics.jsonl`.
      gates: of `search/gates.jsonl`.
      prunings: of `search/prunings.jsonl`.
      retrain: of `retrain/metrics.jsonl`.
    """

    workdir: Workdir
    config: Mapping[str, Any]
    space: Space
    macro: cost.Macro
    result: Mapping[str, Any] | None
    found: Architecture | None
    search: Sequence[Row]
    gates: Sequence[Row]
    prunings: Sequence[Row]
    retrain: Sequence[Row]

    @property
    def finished(self) -> bool:
        """Whether all of its jobs are done."""
        return result.covers(self.result, self.config["jobs"])

    @property
    def state(self) -> str:
        """How far it is, in words."""
        if self.finished:
            return "finished"
        what, rows, epochs = self._job()
        epoch = f", epoch {rows[-1]['epoch']:.1f} of {epochs:g}" if rows else ""
        return f"unfinished: {what}{epoch}"

    @property
    def share(self) -> float:
        """The part of the job at hand that is done, in [0, 1]."""
        _, rows, epochs = self._job()
        return min(1.0, rows[-1]["epoch"] / epochs) if rows and epochs else 0.0

    def _job(self) -> tuple[str, Sequence[Row], float]:
        """What is going on, its rows, and its epochs."""
        if self.found is None:
            return "searching", self.search, self.config["search.max_epochs"]
        return "retraining", self.retrain, self.config["retrain.epochs"]

    def whole(self) -> int:
        """MAdds of the whole super-network at `macro`."""
        return cost.network_cost(self.space, self.macro, self.space.full()).madds

    def retained(self) -> Architecture | None:
        """The network that was found, or what is left of the space so far.

        None before anything was pruned.
        """
        if self.found is not None or not self.prunings or not self.gates:
            return self.found
        alpha = self.gates[-1]["alpha"]
        kept = [~np.isnan(np.array(stage, float)) for stage in alpha]
        return from_kept(self.space, kept, self.macro)


def read_run(workdir: str | os.PathLike) -> Run:
    """Reads a workdir.

    Args:
      workdir: of a run, which may be going on.

    Raises:
      InputError: it is the folder of no run, or a file in it is damaged.
    """
    workdir = Workdir(storage.named("workdir", workdir))
    path = workdir.config
    if not storage.is_file(path):
        raise InputError(
            f"{workdir!r} holds no config.json, so it is no run; name what was given "
            "as --workdir to ifnas_jax.main."
        )
    config = config_lib.flatten(files.read_json(path))
    try:
        files.check_object(config, _CONFIG)
        space, macro = _space(config), _macro(config)
    except ValueError as error:  # InputError is one.
        raise InputError(
            f"{path!r} is no config of a run ({str(error).rstrip('.')}); restore it."
        ) from error
    found = workdir.search.architecture
    return Run(
        workdir,
        config,
        space,
        macro,
        result.read(workdir),
        load(found) if storage.exists(found) else None,
        _rows(workdir.search.metrics, _SEARCH),
        _read_gates(workdir.search.gates, space),
        _rows(workdir.search.prunings, _PRUNINGS),
        _rows(workdir.retrain.metrics, _METRICS),
    )


def _rows(path: str, fields: files.Fields) -> list[dict[str, Any]]:
    try:
        return files.read_rows(path, fields)
    except OSError as error:
        raise InputError(
            f"{path!r} cannot be read ({error.strerror}); restore it."
        ) from error


def _space(config: Mapping[str, Any]) -> Space:
    nodes = config["space.nodes"]
    if not nodes or not all(type(count) is int for count in nodes):
        raise ValueError(f"'space.nodes' is {nodes!r}")
    return make_space(
        config["space.name"],
        config["space.num_precursors"],
        tuple(nodes),
        config["macro.search_cells"],
        tuple(config["space.operators"]),
    )


def _macro(config: Mapping[str, Any]) -> cost.Macro:
    return cost.Macro(
        width=config["macro.width"],
        num_classes=config["dataset.num_classes"],
        image_size=config["dataset.image_size"],
        channels=config["dataset.channels"],
        stem=config["macro.stem"],
        cells=config["macro.cells"],
    )


def _read_gates(path: str, space: Space) -> list[dict[str, Any]]:
    """The rows of `gates.jsonl`, which have the shapes of the space.

    Raises:
      InputError: they have not.
    """
    rows = _rows(path, _GATES)
    shapes = [stage.shape for stage in space.full()]
    for row in rows:
        betas = [_shape(stage) for stage in row["beta"]]
        alphas = [_shape(stage) for stage in row["alpha"]]
        if alphas != shapes or betas != [shape[:2] for shape in shapes]:
            raise InputError(
                f"{path!r} is damaged: the gates of step {row['step']} are not those "
                "of the space; restore it."
            )
    return rows


def _shape(values: Any) -> tuple[int, ...] | None:
    """Of nested lists of numbers in [0, 1] and nulls; None of anything else."""
    try:
        array = np.array(values, float)
    except (TypeError, ValueError):
        return None
    return array.shape if np.all(np.isnan(array) | np.isfinite(array)) else None


def name_of(run: Run) -> str:
    """A run's folder, without those above it."""
    return os.path.basename(storage.absolute(run.workdir.path))


def space_name(space: Space) -> str:
    """As "lchain, L = 4, 18 + 20 + 18 nodes"."""
    nodes = " + ".join(map(str, space.nodes))
    if space.shared:
        nodes = f"cells of {space.nodes[0]}"
    elif space.has_cells:
        nodes = f"{len(space.stages)} cells of {space.nodes[0]}"
    return f"{space.name}, L = {space.num_precursors}, {nodes} nodes"


def edges_of(architecture: Architecture) -> int:
    """Connections that a network keeps."""
    return sum(len(stage.edges) for stage in architecture.stages)
