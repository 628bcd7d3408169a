"""Networks of other budgets, of one search."""

import dataclasses
import shutil

import numpy as np
import pytest
from tiny import TARGET

from ifnas_jax import architecture, files, front, pareto
from ifnas_jax.architecture.cost import network_cost
from ifnas_jax.report.front import passed
from ifnas_jax.report.run import read_run
from ifnas_jax.run.workdir import Workdir


def test_each_is_what_was_left_when_its_budget_was_met(finished):
    """By the rows of metrics, which count what is left, and by the last network."""
    run = read_run(finished[0])
    last = passed(run, TARGET)
    assert last.architecture.to_json() == run.found.to_json()
    between = [row for row in run.search if TARGET < row["madds"] < run.whole()]
    assert between
    for row in between:
        found = passed(run, row["madds"])
        assert found.architecture.cost().madds == row["madds"]
        assert found.architecture.depth() == row["depth"]
        assert found.step <= row["step"]
    # A budget that no loop ended at is met in the middle of one.
    kept = [stage.copy() for stage in run.space.full()]
    budget = (run.whole() + TARGET) // 2
    found = passed(run, budget)
    assert found.architecture.cost().madds <= budget
    gone = None
    for row in run.prunings:
        before = network_cost(run.space, run.macro, kept).madds
        # The operators of an edge that closed go at once.
        edge = [row[x] for x in ("step", "stage", "src", "dst", "reason")]
        if before <= budget and (edge != gone or row["reason"] != "edge gate"):
            break
        gone = edge
        operator = run.space.operators.index(row["op"])
        where = row["dst"] - 1, row["dst"] - row["src"] - 1, operator
        kept[row["stage"] - 1][where] = False
    again = architecture.from_kept(run.space, kept, run.macro)
    assert again.to_json() == found.architecture.to_json()


def test_operators_of_an_edge_that_closed_go_at_once(finished):
    """Where only the second of two rows were counted, half of an edge would be left."""
    run = read_run(finished[0])
    operators = run.space.operators
    kept = [stage.copy() for stage in run.space.full()]
    rows = []
    for op in operators:
        kept[1][2, 2, operators.index(op)] = False
        madds = network_cost(run.space, run.macro, kept).madds
        where = {"stage": 2, "src": 0, "dst": 3, "op": op, "step": 10}
        rows.append({**where, "reason": "edge gate", "madds": madds})
    found = passed(dataclasses.replace(run, prunings=rows), rows[0]["madds"])
    assert not any((e.src, e.dst) == (0, 3) for e in found.architecture.stages[1].edges)
    # One operator by itself leaves the other.
    alone = dataclasses.replace(run, prunings=[{**rows[0], "reason": "operator gate"}])
    found = passed(alone, rows[0]["madds"])
    (left,) = [
        e for e in found.architecture.stages[1].edges if (e.src, e.dst) == (0, 3)
    ]
    assert left.ops == operators[1:]


def test_of_two_equals_both_are_best():
    points = [(1, 0.5), (2, 0.6), (2, 0.6), (3, 0.55), (1, 0.4)]
    found = pareto.best(*zip(*points, strict=True)).tolist()
    assert found == [True, True, True, False, False]
    # By the definition, with many equals among them.
    costs, values = np.random.default_rng(0).integers(0, 6, (2, 60))
    told = [
        not any(
            c <= cost and v >= value and (c, v) != (cost, value)
            for c, v in zip(costs, values, strict=True)
        )
        for cost, value in zip(costs, values, strict=True)
    ]
    assert pareto.best(costs, values).tolist() == told and len(set(told)) == 2


def test_networks_are_saved_and_retrained(finished, tmp_path, capsys):
    workdir = tmp_path / "run"
    skip = shutil.ignore_patterns("checkpoints", "compiled", "report")
    shutil.copytree(finished[0], workdir, ignore=skip)
    # Met by the last two networks before the run's own.
    passed_by = sorted({row["madds"] for row in read_run(workdir).prunings})[1:3]
    near, far = (-(-madds // 10_000) / 100 for madds in passed_by)
    budgets = f"{near * 1e6:.0f},{far * 1e6:.0f}"
    assert front.main([f"--workdir={workdir}", f"--madds={budgets}"]) == 0
    told = capsys.readouterr().out
    assert f"not retrained: {near:g}M, {far:g}M" in told
    assert not (workdir / "front" / "front.svg").exists()
    command = [f"--workdir={workdir}", f"--madds={TARGET},{near:g}M", "--retrain"]
    assert front.main(command) == 0
    printed = capsys.readouterr().out
    assert "2 of 2" in printed and (workdir / "front" / "front.svg").exists()
    rows = files.read_json(workdir / "front" / "front.json")["networks"]
    assert [row["budget"] for row in rows] == [TARGET, *map(int, budgets.split(","))]
    # The smallest is the run's own network, which is trained already.
    trained = workdir / "front" / f"{near:g}M"
    for row, place in zip(rows, (workdir, trained), strict=False):
        assert row["madds"] <= row["budget"]
        own = files.read_json(place / "result.json")
        assert (row["top1"], row["madds"]) == (own["top1"], own["madds"])
    assert not (workdir / "front" / "0.47M" / "result.json").exists()
    assert rows[2]["top1"] is None
    # Given again, nothing is trained again.
    before = (trained / "result.json").stat().st_mtime_ns
    assert front.main(command) == 0
    assert (trained / "result.json").stat().st_mtime_ns == before


def test_a_run_that_only_searched_and_one_that_removed_nothing(
    finished, tmp_path, monkeypatch, capsys
):
    workdir = tmp_path / "searched"
    skip = shutil.ignore_patterns("checkpoints", "compiled", "report", "retrain")
    shutil.copytree(finished[0], workdir, ignore=skip)
    config = files.read_json(workdir / "config.json")
    files.write_json(workdir / "config.json", {**config, "jobs": ["search"]})
    trained = []
    monkeypatch.setattr(
        front, "run_jobs", lambda own, *_, **__: trained.append(own.jobs)
    )
    assert front.main([f"--workdir={workdir}", "--madds=0.6M", "--retrain"]) == 0
    assert trained == [("retrain",)]
    (workdir / "search" / "prunings.jsonl").write_text("")
    assert front.main([f"--workdir={workdir}"]) == 2
    assert "has no removals" in capsys.readouterr().err


def test_folders_of_different_budgets_differ():
    names = [
        Workdir("a").of_budget(n).path for n in (20_000_010, 20_000_040, 20_000_000)
    ]
    assert names == ["a/front/20.00001M", "a/front/20.00004M", "a/front/20M"]


@pytest.mark.parametrize(
    ("budgets", "words"),
    [
        ("400", "the search ended at"),
        ("9G", "which the whole super-network meets"),
        ("much", "which is no number of multiply-adds"),
        ("0.0000001M", "which is no number of multiply-adds"),
    ],
)
def test_what_no_search_passed_is_refused(budgets, words, finished, capsys):
    assert front.main([f"--workdir={finished[0]}", f"--madds={budgets}"]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not (finished[0] / "front").exists()
