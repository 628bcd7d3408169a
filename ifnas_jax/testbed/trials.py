"""Runs a method with some seeds, and asks the table what came of it."""

import functools
import os
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax import files, jobs, library, statistics, storage, tabular
from ifnas_jax.architecture import Architecture
from ifnas_jax.data.source import Dataset
from ifnas_jax.errors import FAILURES, InputError
from ifnas_jax.retraining.trained import load_found
from ifnas_jax.run.workdir import Workdir
from ifnas_jax.runtime import devices
from ifnas_jax.searching import make, ranked, step
from ifnas_jax.searching.step import Search
from ifnas_jax.tabular import Table
from ifnas_jax.testbed import price
from ifnas_jax.testbed.config import search_config
from ifnas_jax.testbed.drawing import drawn_regret

# Networks, evenly over the table, that a super-network ranks.
_RANKED = 200


class Trial(NamedTuple):
    """What a search with one seed found, and what the table says of it.

    Attributes:
      seed: of the search.
      key: of the network in the table.
      madds: of it.
      top1: of it, a fraction; the mean of the table's seeds.
      regret: how much more accurate the best network is that costs no more.
      at_target: the same of the best network within the target, also if what was found
        costs more, or much less.
      rank: of it among those that cost no more.
      within: how many they are.
      met_by: how the search met its target; None where it had none.
      steps: of the search.
      trainings: how many networks of the table can be trained for what the search cost
        (`price.trainings`).
      drawn: the regret of a random search that trains so many, or one if they are none.
      tau: Kendall's τ of the super-network's and the table's accuracies; None of a
        method without one.
    """

    seed: int
    key: int
    madds: int
    top1: float
    regret: float
    at_target: float
    rank: int
    within: int
    met_by: str | None
    steps: int
    trainings: float
    drawn: float
    tau: float | None


# Of a file of one.
_KINDS: files.Fields = {
    **dict.fromkeys(("seed", "key", "madds", "rank", "within", "steps"), int),
    **dict.fromkeys(("top1", "regret", "at_target", "trainings", "drawn"), float),
    **{"met_by": (str, type(None)), "tau": (float, type(None))},
}


def try_method(
    table: Table,
    fields: Mapping[str, Any],
    workdir: str | os.PathLike,
    seeds: int = 5,
    madds: int | None = None,
    data_dir: str = "",
) -> list[Trial]:
    """Searches with a method among a table's networks, and judges what it finds.

    Args:
      table: of `tabular.load`.
      fields: of the config, as {"method": "darts"} or {"method": "mine:make"}.
      workdir: keeps the searches, each method in a folder of its own. Called again with
        it, what is done is not repeated.
      seeds: how many searches: seeds 0, 1, ...
      madds: the target of the searches; None: the median of the table's networks.
      data_dir: where the data set is, if not in TFDS' folder.

    Returns:
      A trial for each seed, without those whose search failed.

    Raises:
      InputError: a field, the workdir or the target can't be used, or a seed's draws
        don't meet it.
      StorageError, OSError: the workdir or the data can't be used any more.
      PreemptedError: SIGTERM came, and everything is saved.
    """
    return search_and_judge(
        table, *checked(table, fields, seeds, madds, data_dir), workdir
    )


def search_and_judge(
    table: Table, config: ConfigDict, dataset: Dataset, workdir: str | os.PathLike
) -> list[Trial]:
    """As `try_method`, with what `checked` has returned."""
    place = _place(config, storage.named("workdir", os.fspath(workdir)))
    try:
        library.run_undisturbed(config, place.path)
    except FAILURES:
        # Of some seeds: it says which, and why, and the others are done.
        if not storage.exists(place.summary):
            raise
    found = [(own, place.of_seed(own.seed)) for own in config_lib.of_seeds(config)]
    judge = functools.partial(_judge, table, dataset)
    return [judge(own, at) for own, at in found if storage.exists(at.result)]


def checked(
    table: Table,
    fields: Mapping[str, Any],
    seeds: int,
    madds: int | None,
    data_dir: str,
) -> tuple[ConfigDict, Dataset]:
    """The config of all seeds and its data, if nothing will refuse them later.

    Args:
      table: as `try_method`, and so all others.
      fields: of the config.
      seeds: how many.
      madds: the target.
      data_dir: of the data set.

    Raises:
      InputError: as `try_method`.
    """
    if seeds < 2:
        raise InputError(f"seeds is {seeds}; give 2 or more, since one says nothing.")
    config = search_config(table, fields, madds, data_dir)
    devices.check()
    config.seeds = seeds
    dataset = jobs.open_data(config, resumed=False)
    if table.facts.get("contents", dataset.contents) != dataset.contents:
        raise InputError(
            f"the table is of {table.facts['contents']!r}, but the data is "
            f"{dataset.contents!r}; name that with --data-dir."
        )
    config.dataset.num_classes = dataset.num_classes
    for own in config_lib.of_seeds(config):
        config_lib.resolve(own, None)
        job = make.make_search(own, dataset)
        make.check(job, dataset)
        if not job.method.draw:
            break  # All others are alike.
    if job.method.trains:
        step.validation_batches(config, dataset)
    return config, dataset


def known_trials(
    table: Table, config: ConfigDict, workdir: str | os.PathLike, seeds: int
) -> list[Trial]:
    """Those that `try_method` has made of a config; nothing is run.

    Args:
      table: as `try_method`.
      config: of `search_config`.
      workdir: of the searches.
      seeds: how many.

    Raises:
      InputError: the file of one is damaged.
    """
    place = _place(config, storage.named("workdir", os.fspath(workdir)))
    kept = [place.of_seed(seed).trial(table.sha256) for seed in range(seeds)]
    return [_read(path) for path in kept if storage.exists(path)]


def _read(path: str) -> Trial:
    told = files.read_json(path, _KINDS)
    return Trial(**{name: told[name] for name in _KINDS})


def _place(config: ConfigDict, folder: str) -> Workdir:
    """The workdir of a method's searches, named after what decides them."""
    own = config.copy_and_resolve_references()
    own.seeds, own.dataset.data_dir = 1, ""
    digest = zlib.crc32(config_lib.to_json(own).encode())
    name = config.method.replace(":", ".").replace("/", ".")
    return Workdir(os.path.join(folder, f"{name}-{digest:08x}"))


def _judge(table: Table, dataset, config: ConfigDict, workdir: Workdir) -> Trial:
    """What the table says of a search that is done; kept beside it."""
    path = workdir.trial(table.sha256)
    if storage.exists(path):
        return _read(path)
    job = make.make_search(config, dataset)
    network = load_found(workdir.path).architecture
    row = table.query(network)
    told = files.read_json(workdir.search.summary, {"steps": int})
    steps, met_by = told["steps"], told["target_met_by"]
    paid = price.trainings(table, job, dataset, steps)
    trial = Trial(
        seed=config.seed,
        key=row.key,
        madds=row.madds,
        top1=row.top1,
        regret=table.regret(row.key),
        at_target=table.best(config.target_madds).top1 - row.top1,
        rank=table.rank(row.key, row.madds),
        within=int((table.madds() <= row.madds).sum()),
        met_by=met_by,
        steps=steps,
        trainings=paid,
        drawn=drawn_regret(table, int(paid), row.madds),
        tau=_tau(table, job, network, dataset, workdir) if job.method.trains else None,
    )
    files.write_json(path, trial._asdict())
    return trial


def _tau(
    table: Table, job: Search, found: Architecture, dataset, workdir: Workdir
) -> float:
    networks, tabulated = _networks(table, job), table.facts["stage"]
    name = f"ranking, seed {job.config.seed}"
    # Around the tabulated stage all have what the search trained to its end.
    names = job.net.space.operators
    full = list(job.net.space.full())
    if job.method.prune:
        full = [stage.kept(names) for stage in found.stages]
    kept = [
        [*full[:tabulated], own.stages[tabulated].kept(names), *full[tabulated + 1 :]]
        for _, own in networks
    ]
    theirs = ranked.accuracies(job, dataset, workdir, kept, name)
    ours = [table.query(key).top1 for key, _ in networks]
    return statistics.kendall(theirs, ours)


def _networks(table: Table, job: Search) -> Sequence[tuple[int, Architecture]]:
    found = list(tabular.networks(job.net.space, job.macro, table.facts["stage"]))
    places = np.linspace(0, len(found) - 1, min(_RANKED, len(found)))
    return [found[place] for place in places.round().astype(int)]
