"""What an experiment runs: settings, each with some seeds; and what a cell is."""

import dataclasses
import json
import re
import zlib
from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax.architecture import Architecture

# Fields that say where and how a run goes, not what comes out.
_FREE = (
    *("seed", "seeds", "lanes", "jobs", "tensorboard", "log_every"),
    *("dataset.data_dir", "dataset.on_unreadable"),
    *("search.checkpoint_every", "retrain.checkpoint_every"),
)

# Of a search; a network's cell is named by which of its networks it trains.
SEARCH = "search"


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
    """

    label: str
    config: ConfigDict
    networks: tuple[str, ...] = ("found",)
    trained: tuple[str, ...] = ("found",)
    architecture: Callable[[ConfigDict], Architecture] | None = None

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
        if self.architecture is not None:
            kind = re.sub(r"\W+", "-", self.label.lower()).strip("-")
        return f"{kind}-{digest:08x}"

    def with_seed(self, seed: int, jobs: tuple[str, ...]) -> ConfigDict:
        """The config of one run."""
        config = self.config.copy_and_resolve_references()
        config.seed, config.jobs = seed, jobs
        return config


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run: a search, or the training of one network.

    Attributes:
      setting: of which it is.
      seed: its seed.
      what: "search", or which network is trained.
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
    searched = [] if setting.architecture else [SEARCH]
    return [Cell(setting, seed, what) for what in (*searched, *setting.trained)]
