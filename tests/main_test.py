"""Whole runs, through the command line."""

import dataclasses
import os
import shutil
import sys
import time

import numpy as np
import pytest
from commands import contents, finish, start
from tiny import TARGET

from ifnas_jax import architecture, files, main, training
from ifnas_jax import config as config_lib
from ifnas_jax.config.command_line import load_config
from ifnas_jax.config.validation import validate
from ifnas_jax.data import source
from ifnas_jax.errors import ChangedError, InputError, StorageError
from ifnas_jax.run import begin, given
from ifnas_jax.run.workdir import Workdir
from ifnas_jax.runtime import distributed


def test_a_run_leaves_what_the_contract_says(finished):
    workdir, output = finished
    result = files.read_json(workdir / "result.json")
    found = architecture.load(workdir / "search" / "architecture.json")
    assert result["method"] == "ifnas"
    assert result["dataset"] == "mnist5k"
    assert result["space"] == "lchain"
    assert result["target_met_by"] == "pruning"
    assert result["madds"] == found.cost().madds <= result["target_madds"] == TARGET
    assert result["params"] == found.cost().params
    assert result["depth"] == sum(found.depth_per_stage())
    assert 0.1 < result["top1"] <= result["top5"] <= 1
    assert result["search_seconds"] > 0
    assert result["compile_seconds"] > 0
    assert set(result) >= {"seed", "versions", "devices", "target_madds"}
    assert f"{100 * result['top1']:.2f} %" in output
    for name in ("architecture", "gates", "cost", "training"):
        assert (workdir / "report" / f"{name}.svg").stat().st_size > 1000
        assert (workdir / "report" / f"{name}.png").stat().st_size > 1000
    assert not list(workdir.rglob("events.out.tfevents*"))


def test_the_lines_that_stay_show_the_newest_numbers(finished):
    workdir, output = finished
    lines = {line.split()[0]: line for line in output.splitlines() if " ETA " in line}
    last = files.read_rows(workdir / "search" / "metrics.jsonl")[-1]
    assert f"edges {last['edges']}  {last['madds'] / 1e6:.1f}M MAdds" in lines["search"]
    top1 = files.read_json(workdir / "result.json")["top1"]
    assert f"test {100 * top1:.2f}%" in lines["retrain"]


def test_metrics_and_prunings_tell_the_same_story(finished):
    workdir, _ = finished
    rows = files.read_rows(workdir / "search" / "metrics.jsonl")
    prunings = files.read_rows(workdir / "search" / "prunings.jsonl")
    steps = [row["step"] for row in rows]
    assert steps == list(range(2, 2 * len(rows) + 1, 2))
    assert [row["group"] for row in rows[:8]] == [0, 1, 2, 3, 0, 1, 2, 3]
    phases = list(dict.fromkeys(row["phase"] for row in rows))
    assert phases == ["weights", "beta", "alpha", "prune"]
    assert len({row["step"] for row in prunings}) > 1
    madds = {row["step"]: row["madds"] for row in prunings}
    for row in rows:
        if row["step"] in madds:
            assert row["madds"] == madds[row["step"]]
    assert all(row["step"] % 8 == 0 for row in prunings)


def test_starting_again_says_that_it_is_done(finished, tiny_flags):
    workdir, _ = finished
    before, started = contents(workdir), time.monotonic()
    output = finish(start(tiny_flags(workdir)))
    assert "is done already" in output
    assert time.monotonic() - started < 20
    assert contents(workdir) == before


BAD = {
    "unknown data set": ({"dataset.name": "mnist6k"}, "mnist6k"),
    "unknown method": ({"method": "dart"}, "method is 'dart'"),
    "unknown field": ({"search.batchsize": 3}, "search.batchsize"),
    "unknown operator": ({"space.operators": "('sep_conv_9x9',)"}, "sep_conv_9x9"),
    "no precursor": ({"space.num_precursors": 0}, "space.num_precursors is 0"),
    "target too low": ({"target_madds": 200_000}, "target_madds is 200,000"),
    "target too high": ({"target_madds": 10**9}, "target_madds is 1,000,000,000"),
    "odd image size": ({"dataset.image_size": 30}, "image_size is 30"),
    "two stages": ({"space.nodes": "(2, 2)"}, "space.nodes is (2, 2)"),
    "no time to prune": ({"search.max_epochs": 0.05}, "search.max_epochs is 0.05"),
    "jitter of three": ({"dataset.jitter": "(0.1, 0.1, 0.1)"}, "dataset.jitter"),
    "no batch to validate": ({"dataset.valid_fraction": 0.001}, "valid_fraction"),
    "no job": ({"jobs": "()"}, "jobs is empty"),
    "nothing to retrain": (
        {"jobs": "('retrain',)"},
        "cannot be read",
    ),
    "classes": ({"dataset.num_classes": 12}, "dataset.num_classes is 12"),
}


def test_a_network_that_is_given_is_trained_longer_and_wider(
    finished, tiny_flags, tmp_path, capsys
):
    """In a config of other nodes and another number of precursors: those are its."""
    found = finished[0] / "search" / "architecture.json"
    changes = {"space.nodes": "(2, 2, 2)", "space.num_precursors": 4}
    changes |= {"macro.width": 6, "retrain.epochs": 4, "retrain.final_epochs": 1}
    workdir = tmp_path / "wider"
    flags = [*tiny_flags(workdir, **changes), f"--architecture={found}"]
    assert main.main(flags) == 0
    before, after = map(
        architecture.load, (found, workdir / "search" / "architecture.json")
    )
    assert after.macro.width == 6
    assert [own.edges for own in after.stages] == [own.edges for own in before.stages]
    result = files.read_json(workdir / "result.json")
    assert (result["target_met_by"], result["search_seconds"]) == (None, None)
    assert result["madds"] == after.cost().madds > before.cost().madds
    assert 0 < result["top1"] <= 1
    # Done already; and another one is refused, by a run that is done too.
    assert main.main(flags) == 0
    other = tmp_path / "other.json"
    masked = [own.kept(before.space.operators) for own in before.stages]
    masked[1][:] = False
    masked[1][:, 0] = True
    architecture.from_kept(before.space, masked, before.macro).save(other)
    assert main.main([*flags[:-1], f"--architecture={other}"]) == 2
    assert "holds a run with another config: given (stored" in capsys.readouterr().err
    assert result["method"] == "given"
    # Without the flag it is another run: nothing is searched in its place.
    assert main.main(flags[:-1]) == 2
    assert "holds a run with another config: given (stored" in capsys.readouterr().err
    for more, words in (
        (["--config.seeds=2"], "seeds is 2, but --architecture names one network"),
        (["--config.jobs=search"], "jobs is ('search',), but --architecture names"),
        (["--config.given=x"], "given is 'x', but is filled in"),
        (["--config.retrain.batch_size=0"], "retrain.batch_size is 0"),
    ):
        assert main.main([*flags, *more]) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize("name", ["darts_space", "goldnas_space"])
def test_a_network_of_cells_is_taken_with_its_space(name, tmp_path):
    config = load_config(f"{name}:mnist5k")
    space, sizes = config_lib.space(config), config_lib.macro(config)
    kept = [np.zeros_like(stage) for stage in space.full()]
    for stage in kept:
        stage[:, :2, 0] = True  # two inputs a node, one operator each
    architecture.from_kept(space, kept, sizes).save(tmp_path / "a.json")
    config.target_madds = 1  # of no search
    found = given.adopt(config, str(tmp_path / "a.json"))
    validate(config)
    assert config_lib.space(config).nodes == found.space.nodes
    assert given.sized(found, config).to_json() == found.to_json()


def test_a_run_of_before_labels_goes_on(finished, tmp_path):
    """Such as one of many seeds, whose config is compared when the data is open."""
    stored = files.read_json(finished[0] / "config.json")
    del stored["dataset"]["labels"], stored["given"]
    files.write_json(tmp_path / "config.json", stored)
    config = load_config("lchain4:mnist5k")
    config.update_from_flattened_dict(_fields(stored))
    config.dataset.labels = tuple(map(str, range(10)))
    assert begin.check_seed(config, Workdir(tmp_path)) is not None


def _fields(stored):
    flat = config_lib.flatten(stored)
    return {k: tuple(v) if isinstance(v, list) else v for k, v in flat.items()}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_before_anything_compiles(
    case, tiny_flags, tmp_path, capsys, monkeypatch
):
    def refuse(*args, **kwargs):
        raise AssertionError("compiled")

    monkeypatch.setattr(training, "compile_step", refuse)
    changes, words = BAD[case]
    assert main.main(tiny_flags(tmp_path / "run", **changes)) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.startswith("ifnas_jax: ")
    assert error.count("\n") == 1
    # Nothing that would stand in the way of the corrected command.
    assert not (tmp_path / "run").exists()


def test_batch_that_the_devices_do_not_divide_is_refused(tiny_flags, tmp_path):
    output = finish(start(tiny_flags(tmp_path), devices=3), code=2)
    assert "search.batch_size is 16, which the 3 devices don't divide" in output
    # That of the job that comes after the search, too.
    output = finish(
        start(tiny_flags(tmp_path, **{"search.batch_size": 15}), devices=3), code=2
    )
    assert "retrain.batch_size is 50, which the 3 devices don't divide" in output
    assert not list(tmp_path.iterdir())


def test_another_config_is_refused_and_named(finished, tiny_flags, capsys):
    workdir, _ = finished
    before = contents(workdir)
    changes = {"seed": 5, "search.momentum": 0.8}
    assert main.main(tiny_flags(workdir, **changes)) == 2
    error = capsys.readouterr().err
    assert "seed (stored 0, now 5)" in error
    assert "search.momentum (stored 0.9, now 0.8)" in error
    assert "batch_size" not in error
    assert contents(workdir) == before


def test_a_training_stays_with_its_architecture(finished, tiny_flags, tmp_path, capsys):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    (workdir / "result.json").unlink()
    path = workdir / "search" / "architecture.json"
    found = architecture.load(path)
    found.with_macro(width=8).save(path)
    assert main.main(tiny_flags(workdir)) == 2
    assert "macro.width is 4, but" in capsys.readouterr().err
    # The same space, but the first edge of the first stage has another choice.
    first, (edge, *rest) = found.stages[0], found.stages[0].edges
    few, many = ("sep_conv_3x3",), ("sep_conv_3x3", "skip_connect")
    edge = dataclasses.replace(edge, ops=few if edge.ops == many else many)
    first = dataclasses.replace(first, edges=(edge, *rest))
    other = dataclasses.replace(found, stages=(first, *found.stages[1:]))
    other.save(path)
    assert main.main(tiny_flags(workdir)) == 2
    assert "is not the one that" in capsys.readouterr().err
    (workdir / "retrain" / "summary.json").unlink()
    assert main.main(tiny_flags(workdir)) == 2
    assert "is not the one that its checkpoint was trained for" in (
        capsys.readouterr().err
    )
    assert len(list((workdir / "retrain" / "checkpoints").glob("[0-9]*"))) == 2


@pytest.mark.parametrize(
    ("error", "code"), [(ChangedError, 2), (InputError, 4), (StorageError, 4)]
)
def test_data_that_is_gone_may_come_back_and_data_that_is_changed_does_not(
    error, code, finished, tiny_flags, tmp_path, monkeypatch, capsys
):
    """Of a run that has begun: schedulers start it again after 4, not after 2."""
    workdir, skip = tmp_path / "run", shutil.ignore_patterns("checkpoints")
    shutil.copytree(finished[0], workdir, ignore=skip)
    (workdir / "result.json").unlink()

    def fail(config, prepare):
        raise error("what is wrong with the data")

    monkeypatch.setattr(source, "open_dataset", fail)
    monkeypatch.setattr(os, "_exit", sys.exit)
    if code == 4:
        with pytest.raises(SystemExit, match="4"):
            main.main(tiny_flags(workdir))
    else:
        assert main.main(tiny_flags(workdir)) == code
    assert "what is wrong with the data" in capsys.readouterr().err


def test_a_target_that_no_draw_meets_is_bad_input(tiny_flags, tmp_path, capsys):
    fields = {"method": "random", "random.band": 1.0, "search.valid_every": 0}
    others = "--config.penalty.", "--config.search.arch_"
    flags = tiny_flags(tmp_path, **fields)
    flags = [flag for flag in flags if not flag.startswith(others)]
    assert main.main(flags) == 2
    assert "random.band is 1.0, but none of" in capsys.readouterr().err


def test_every_kind_of_bad_input_has_its_code_and_is_told_to_other_processes():
    for kind in (InputError, *InputError.__subclasses__()):
        assert main._EXIT[kind] == 2
        assert distributed._TOLD[kind.__name__] is kind
