"""Many seeds as one program: each lane is the search of its seed alone."""

import dataclasses
import functools
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from cheap import cheap
from documented import ROOT
from small_search import SmallNet, interrupt, left_in, make_config, make_dataset

from ifnas_jax import architecture, files, training
from ifnas_jax import config as config_lib
from ifnas_jax.errors import DivergedError, PreemptedError
from ifnas_jax.nn.nodes import add_nodes
from ifnas_jax.nn.supernet import Supernet
from ifnas_jax.report.logs import SearchLogs
from ifnas_jax.run.workdir import Workdir
from ifnas_jax.runtime import termination
from ifnas_jax.searching import lane as lanes
from ifnas_jax.searching import together as together_lib
from ifnas_jax.searching.in_turn import search_in_turn
from ifnas_jax.searching.job import search
from ifnas_jax.searching.make import make_search
from ifnas_jax.searching.together import meet, search_together

pytestmark = pytest.mark.usefixtures("compiles_soon")

SEEDS = 3
# Seeds meet this target at different steps.
PRUNING = {"penalty.delta": 1.0, "penalty.prune_epochs": 2.0, "target_madds": 130_000}


def make_jobs(dataset, count=SEEDS, net=SmallNet, method="ifnas"):
    config = make_config(method, **PRUNING)
    config.seeds = count
    return [make_search(own, dataset, net) for own in config_lib.of_seeds(config)]


def run(way, path, jobs, dataset):
    """Runs searches in the folders 0, 1, ...; what failed."""
    workdirs = [Workdir(path / str(n)) for n in range(len(jobs))]
    return way(jobs, dataset, workdirs)


@pytest.fixture(scope="module")
def alone(tmp_path_factory, compiles_soon):
    """Each seed's search by itself."""
    path, dataset = tmp_path_factory.mktemp("alone"), make_dataset()
    for number, job in enumerate(make_jobs(dataset)):
        search(job, dataset, Workdir(path / str(number)))
    return path


@pytest.fixture(scope="module")
def together(tmp_path_factory, compiles_soon):
    path, dataset = tmp_path_factory.mktemp("together"), make_dataset()
    assert not run(search_together, path, make_jobs(dataset), dataset)
    return path


def rows(path, number, name="metrics"):
    return files.read_rows(path / str(number) / "search" / f"{name}.jsonl")


def test_in_turn_each_ends_with_the_bytes_of_its_run_alone(
    alone, tmp_path, monkeypatch
):
    compiled, dataset = [], make_dataset()
    compile_step = training.compile_step

    def counting(step, *arguments, **options):
        compiled.append(step.__name__)
        return compile_step(step, *arguments, **options)

    monkeypatch.setattr(training, "compile_step", counting)
    assert not run(search_in_turn, tmp_path, make_jobs(dataset), dataset)
    assert compiled == ["train_step", "validation_step"]
    lefts = [left_in(tmp_path / str(n)) for n in range(SEEDS)]
    assert lefts == [left_in(alone / str(n)) for n in range(SEEDS)]
    assert lefts[0] != lefts[1] != lefts[2]


def test_together_each_takes_the_steps_of_its_run_alone(alone, together):
    """To rounding at first; then it has grown, and what is pruned is the same."""
    lengths = set()
    for number in range(SEEDS):
        ours, theirs = rows(together, number), rows(alone, number)
        lengths.add(len(ours))
        for one, other in zip(ours[:8], theirs[:8], strict=True):
            assert one.keys() == other.keys()
            for key, value in one.items():
                close = other[key]
                if not isinstance(value, str):
                    close = pytest.approx(close, rel=1e-4)
                assert value == close, key
        pruned = [rows(path, number, "prunings") for path in (together, alone)]
        assert pruned[0] == pruned[1]
        assert pruned[0]
        found = [
            architecture.load(path / str(number) / "search" / "architecture.json")
            for path in (together, alone)
        ]
        assert found[0] == found[1]
        assert set(left_in(together / str(number))) == set(left_in(alone / str(number)))
    # Some are through before others, which go on.
    assert len(lengths) > 1


def cheap_net(*arguments):
    """A real super-network, node by node, of operators that compile soon."""
    return dataclasses.replace(Supernet(*arguments), wrap=cheap, add=add_nodes)


def test_stopped_with_some_ahead_it_ends_with_the_same_bytes(tmp_path, monkeypatch):
    """Compiled once a start; node by node, where lanes round by their neighbours.

    Ended when some have saved a loop, or written what they found, and others not.
    """
    dataset, compiled = make_dataset(), []
    compile_lanes = training.compile_lanes

    def counting(*arguments):
        compiled.append(arguments)
        return compile_lanes(*arguments)

    monkeypatch.setattr(training, "compile_lanes", counting)

    def start(path):
        jobs = make_jobs(dataset, net=cheap_net)
        assert not run(search_together, path, jobs, dataset)

    start(tmp_path / "whole")
    lengths = {len(rows(tmp_path / "whole", number)) for number in range(SEEDS)}
    assert len(lengths) > 1
    expected = [left_in(tmp_path / "whole" / str(number)) for number in range(SEEDS)]
    go_on = functools.partial(start, tmp_path / "killed")
    # The second lane's fifth save, with the first lane through; then gates of a loop.
    interrupt(monkeypatch, lanes, "save_lane", 4 * SEEDS + 1, go_on)
    interrupt(monkeypatch, SearchLogs, "write_gates", SEEDS + 1, go_on)
    interrupt(monkeypatch, together_lib, "write_found", 1, go_on)
    go_on()
    found = [left_in(tmp_path / "killed" / str(number)) for number in range(SEEDS)]
    assert found == expected
    assert len(compiled) == 5
    go_on()
    assert len(compiled) == 5


def test_told_to_stop_all_save_where_they_are(together, tmp_path, monkeypatch):
    """In the middle of a loop."""
    dataset, asked = make_dataset(), iter(range(100))
    monkeypatch.setattr(termination, "came", lambda: next(asked) == 32)
    go_on = functools.partial(
        run, search_together, tmp_path, make_jobs(dataset), dataset
    )
    with pytest.raises(PreemptedError):
        go_on()
    for number in range(SEEDS):
        names = os.listdir(tmp_path / str(number) / "search" / "checkpoints")
        assert max(int(name) for name in names if name.isdigit()) == 33
    assert not go_on()
    for number in range(SEEDS):
        assert left_in(tmp_path / str(number)) == left_in(together / str(number))


def test_searches_meet_where_all_have_saved():
    assert meet({0: [5, 10], 1: [5, 10]}) == {0: 10, 1: 10}
    assert meet({0: [5, 10], 1: [10, 15]}) == {0: 10, 1: 10}
    # Who has saved once began at 0, as who has not.
    assert meet({0: [5], 1: []}) == {0: 0, 1: 0}
    # Nobody loses what he can't go back to.
    assert meet({0: [5, 10], 1: [20, 25]}) == {0: 10}
    assert meet({0: [], 1: [20, 25]}) == {0: 0}
    assert meet({}) == {}


def test_a_lane_that_diverges_ends_alone(together, tmp_path, monkeypatch):
    """The others end with the same bytes; in it no number is written that is none."""
    dataset, jobs = make_dataset(), make_jobs(make_dataset())
    open_lane = lanes.open_lane

    def spoiled(stack, job, *others):
        lane, state = open_lane(stack, job, *others)
        if job is jobs[1]:
            params = jax.tree.map(lambda x: x.copy(), state.params)
            params["stem"][0, 0] = np.nan
            state = state._replace(params=params)
        return lane, state

    monkeypatch.setattr(lanes, "open_lane", spoiled)
    failed = run(search_together, tmp_path, jobs, dataset)
    assert list(failed) == [1]
    assert isinstance(failed[1], DivergedError)
    assert not (tmp_path / "1" / "search" / "architecture.json").exists()
    for number in (0, 2):
        assert left_in(tmp_path / str(number)) == left_in(together / str(number))
    why = files.read_json(tmp_path / "1" / "search" / "failed.json")["why"]
    assert why == str(failed[1])


def test_over_devices_lanes_come_first_and_then_the_batch(together, tmp_path):
    """Two lanes on four devices are two groups of two; to rounding, the same."""
    env = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    env["PYTHONPATH"] = f"{ROOT}/tests"
    subprocess.run([sys.executable, __file__, str(tmp_path)], env=env, check=True)
    for number in range(2):
        for one, other in zip(
            rows(tmp_path, number)[:6], rows(together, number)[:6], strict=True
        ):
            assert one["loss"] == pytest.approx(other["loss"], rel=1e-3)


def test_the_devices_are_split_among_lanes():
    class Device:
        pass

    devices = [Device() for _ in range(8)]
    for count, shape in (
        (1, (1, 8)),
        (2, (2, 4)),
        (3, (1, 8)),
        (8, (8, 1)),
        (12, (4, 2)),
    ):
        mesh = training.lanes_mesh(count, devices)
        assert mesh.devices.shape == shape


def on_devices(path):
    assert jax.device_count() == 4
    dataset = make_dataset()
    assert not run(search_together, path, make_jobs(dataset, 2), dataset)


if __name__ == "__main__":
    on_devices(pathlib.Path(sys.argv[1]))
