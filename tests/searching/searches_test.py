"""Whole searches in this process, compared with no run of another file."""

import dataclasses
import json
import re

import jax
import pytest

from ifnas_jax import architecture, files, main, training
from ifnas_jax.data import source
from ifnas_jax.report.logs import MetricsLog

pytestmark = pytest.mark.usefixtures("compiles_soon")

# What compiles soon runs slowly: a fifth of the pixels, and of the multiply-adds, where
# it is no matter how much is pruned. The auxiliary head, which these don't train, takes
# 26 pixels or more.
SMALL = {
    "dataset.image_size": 12,
    "retrain.auxiliary_weight": 0.0,
    "target_madds": 96_000,
}


@pytest.mark.parametrize("derive", ["target", "keep1"])
def test_other_derivations_read_gates_of_an_unpruned_search(
    derive, tiny_flags, tmp_path
):
    changes = {**SMALL, "derive": derive, "jobs": "('search',)"}
    changes["search.max_epochs"] = 1.2
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
    changes = {"method": "dnas", "jobs": "('search',)", "search.max_epochs": 2.4}
    assert main.main(tiny_flags(tmp_path, **changes)) == 0
    assert steps == ["train_step", "validation_step"]
    assert after_row[-1][0] < after_row[0][0], "nothing was pruned"
    # Reading gates back may compile small things once, in the first loop.
    first_loop, last = after_row[4][1], after_row[-1][1]
    assert first_loop == last > 0
    assert "is done" in capsys.readouterr().out


def test_diverging_stops_with_the_last_good_checkpoint(tiny_flags, tmp_path, capsys):
    changes = {
        **SMALL,
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
