"""Whole runs, through the command line."""

import dataclasses
import json
import re
import shutil
import time

import jax
import pytest
from commands import contents, finish, start

from ifnas_jax import architecture, files, main, training
from ifnas_jax.data import source
from ifnas_jax.report.logs import MetricsLog


def test_a_run_leaves_what_the_contract_says(finished):
    workdir, output = finished
    result = files.read_json(workdir / "result.json")
    found = architecture.load(workdir / "search" / "architecture.json")
    assert result["method"] == "ifnas"
    assert result["dataset"] == "mnist5k"
    assert result["space"] == "lchain"
    assert result["target_met_by"] == "pruning"
    assert result["madds"] == found.cost().madds <= result["target_madds"] == 700_000
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


@pytest.mark.parametrize("derive", ["target", "keep1"])
def test_other_derivations_read_gates_of_an_unpruned_search(
    derive, tiny_flags, tmp_path
):
    changes = {"derive": derive, "jobs": "('search',)", "search.max_epochs": 0.3}
    changes["tensorboard"] = derive == "keep1"
    assert main.main(tiny_flags(tmp_path, **changes)) == 0
    result = files.read_json(tmp_path / "result.json")
    rows = files.read_rows(tmp_path / "search" / "metrics.jsonl")
    events = list((tmp_path / "search").glob("events.out.tfevents*"))
    assert bool(events) == changes["tensorboard"]
    found = architecture.load(tmp_path / "search" / "architecture.json")
    assert len({row["madds"] for row in rows}) == 1
    assert rows[-1]["mu1"] > rows[-9]["mu1"] > 0
    assert result["top1"] is None
    prunings = files.read_rows(tmp_path / "search" / "prunings.jsonl")
    # Killed before architecture.json was there: the same again, and nothing twice.
    names = [f"search/{n}" for n in ("architecture.json", "prunings.jsonl")]
    before = [(tmp_path / name).read_bytes() for name in names]
    for name in ("result.json", "search/architecture.json", "search/summary.json"):
        (tmp_path / name).unlink()
    assert main.main(tiny_flags(tmp_path, **changes)) == 0
    assert [(tmp_path / name).read_bytes() for name in names] == before
    if derive == "target":
        assert result["target_met_by"] == "fallback"
        assert result["madds"] <= result["target_madds"]
        assert prunings[-1]["madds"] == result["madds"]
        assert {row["reason"] for row in prunings} <= {"weakest", "unread"}
    else:
        assert result["target_met_by"] is None
        assert not prunings
        for stage in found.stages:
            assert len(stage.edges) == len(stage.nodes())
            assert {len(edge.ops) for edge in stage.edges} == {2}


def test_search_compiles_once_whatever_it_prunes(
    tiny_flags, tmp_path, monkeypatch, capsys
):
    """In this process, so that warnings are errors here too; without the sampling.

    And without the test part: a search that read it would fail.
    """

    class Forbidden:
        skipped = ()

        def __len__(self):
            raise AssertionError("the search reads the test part")

        __getitem__ = __len__

    open_dataset = source.open_dataset
    monkeypatch.setattr(
        source,
        "open_dataset",
        lambda config, prepare: dataclasses.replace(
            open_dataset(config, prepare), test=Forbidden()
        ),
    )
    compilations, after_row, steps = [], [], []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, _, **unused: (
            compilations.append(event)
            if event.endswith("backend_compile_duration")
            else None
        )
    )
    write, compile_step = MetricsLog.write, training.compile_step

    def counting_write(self, row):
        write(self, row)
        after_row.append((row["edges"], len(compilations)))

    def counting_compile(step, *args, **kwargs):
        steps.append(step.__name__)
        return compile_step(step, *args, **kwargs)

    monkeypatch.setattr(MetricsLog, "write", counting_write)
    monkeypatch.setattr(training, "compile_step", counting_compile)
    changes = {"method": "dnas", "jobs": "('search',)", "search.max_epochs": 0.6}
    assert main.main(tiny_flags(tmp_path, **changes)) == 0
    assert steps == ["train_step", "validation_step"]
    assert after_row[-1][0] < after_row[0][0], "nothing was pruned"
    # Reading gates back may compile small things once, in the first loop.
    first_loop, last = after_row[4][1], after_row[-1][1]
    assert first_loop == last > 0
    assert "is done" in capsys.readouterr().out


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
    assert "retrain.batch_size is 200, which the 3 devices don't divide" in output
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


def test_diverging_stops_with_the_last_good_checkpoint(tiny_flags, tmp_path, capsys):
    changes = {
        "search.learning_rate": 1e6,
        "search.clip": 0.0,
        "search.valid_every": 0,
        "sampling.period": 1,
    }
    assert main.main(tiny_flags(tmp_path, **changes)) == 3
    error = capsys.readouterr().err
    # The loss is seen at once, the state when it is saved.
    became = (
        r"ifnas_jax: the (loss became (nan|inf)|state after step \d+ is not finite)"
    )
    assert re.search(became, error)
    for row in files.read_rows(tmp_path / "search" / "metrics.jsonl"):
        json.dumps(row, allow_nan=False)
    assert not (tmp_path / "result.json").exists()
    # What a start would go on from: nothing that is not finite.
    assert not list((tmp_path / "search" / "checkpoints").glob("[0-9]*"))
