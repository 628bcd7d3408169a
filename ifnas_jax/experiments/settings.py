"""What an experiment runs: settings, each with some seeds; and what a cell is."""

import dataclasses
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax.architecture import Architecture

# Fields that say where and how a run goes, not what comes out.
_FREE = (
    *("seed", "seeds", "lanes", "jobs", "given", "tensorboard", "log_every"),
    *("dataset.data_dir", "dataset.on_unreadable", "dataset.labels"),
    *("search.checkpoint_every", "retrain.checkpoint_every"),
)

# A network's cell is named by which of a search's networks it trains.
SEARCH, STUDY = "search", "study"


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is run with each seed, and compared with others.

    Attributes:
      label: what tables call it.
      config: of its search and its retraining; each run has its own seed.
      networks: which networks are told of: "found" (what `config.derive` says), or a
        derivation of a search's last gates, "keep1" or "target".
      trained: which of them are trained from scratch.
      architecture: of a seed, in place of a search.
      study: what is done in place of a run: (cell, place) -> what came out, as JSON.
      variant: what tells settings of one config apart, of studies and architectures.
      seeds: its own, whatever the command line says.
      after: whose runs a study needs, so that both are run by one process.
    """

    label: str
    config: ConfigDict
    networks: tuple[str, ...] = ("found",)
    trained: tuple[str, ...] = ("found",)
    architecture: Callable[[ConfigDict], Architecture] | None = None
    study: Callable[..., dict[str, Any]] | None = None
    variant: str = ""
    seeds: range | None = None
    after: "Setting | None" = None

    @property
    def changes(self) -> dict[str, Any]:
        """The fields that decide what comes out and are not the data set's defaults."""
        defaults = config_lib.flat(config_lib.default(self.config.dataset.name))
        return {
            field: value
            for field, value in config_lib.flat(self.config).items()
            if field not in _FREE and value != defaults.get(field)
        }

    @property
    def name(self) -> str:
        """Of its files: settings that search alike share their runs."""
        own = [self.config.dataset.name, self.changes]
        digest = zlib.crc32(json.dumps(own, sort_keys=True).encode())
        kind = f"{self.config.method}-l{self.config.space.num_precursors}"
        return f"{self.variant or kind}-{digest:08x}"

    @property
    def defaults(self) -> int:
        """A checksum of the defaults that `changes` are told against."""
        flat = config_lib.flat(config_lib.default(self.config.dataset.name))
        own = {
            field: value
            for field, value in flat.items()
            if field not in _FREE and not (field in _SINCE and value == _SINCE[field])
        }
        return zlib.crc32(json.dumps(own, sort_keys=True).encode())

    def with_seed(self, seed: int, jobs: tuple[str, ...]) -> ConfigDict:
        """The config of one run."""
        config = self.config.copy_and_resolve_references()
        config.seed, config.jobs = seed, jobs
        return config


# Fields that came after the first published cells, and what changes nothing in them.
# (A cell of a method that does not read such a field is told of it all the same.)
_SINCE = {
    "search.most_removed": 0.15,
    "retrain.weights": "",
    "relaxation.backbone": "constant",
}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run: a search, or the training of one network.

    Attributes:
      setting: of which it is.
      seed: its seed.
      what: "search", which network is trained, or "study".
    """

    setting: Setting
    seed: int
    what: str

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.setting.name}-seed-{self.seed}-{self.what}"


def cells_of(setting: Setting, seed: int) -> list[Cell]:
    """A setting's cells with one seed, in the order in which they are run."""
    if setting.study is not None:
        return [Cell(setting, seed, STUDY)]
    searched = [] if setting.architecture else [SEARCH]
    return [Cell(setting, seed, what) for what in (*searched, *setting.trained)]


def seeds_of(setting: Setting, seeds: Sequence[int]) -> Sequence[int]:
    """A setting's own seeds, or those of the command line."""
    return seeds if setting.seeds is None else setting.seeds


def every_cell(settings: Sequence[Setting], seeds: Sequence[int]) -> Iterator[Cell]:
    """All cells, setting by setting."""
    for setting in settings:
        for seed in seeds_of(setting, seeds):
            yield from cells_of(setting, seed)
