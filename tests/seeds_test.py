"""Many seeds in one workdir, through the command line."""

import dataclasses
import json
import shutil
import statistics

import pytest
from commands import SAME
from pages import Reader

from ifnas_jax import compare, export, files, main
from ifnas_jax.errors import DivergedError
from ifnas_jax.report import __main__ as report
from ifnas_jax.report.population import _mean, read_runs
from ifnas_jax.report.population_page import extremes
from ifnas_jax.run.workdir import Workdir
from ifnas_jax.searching import in_turn

SEARCH = {"jobs": "('search',)"}


@pytest.fixture(scope="module")
def seeds(tiny_flags, once):
    """The runs of seeds 0 and 1; nobody may write to them."""

    def fill(path):
        assert main.main(tiny_flags(path, seeds=2)) == 0

    return once("seeds", fill)


def test_each_seed_leaves_what_its_run_alone_leaves(seeds, finished):
    """To the byte, and a test of its own; other seeds are other runs."""
    for name in SAME:
        ours = (seeds / "seed-0" / name).read_bytes()
        assert ours == (finished[0] / name).read_bytes(), name
    stored = [files.read_json(seeds / f"seed-{n}/config.json") for n in range(2)]
    assert stored[1] == {**stored[0], "seed": 1}
    for name in ("search", "retrain"):
        logs = [seeds / f"seed-{n}" / name / "metrics.jsonl" for n in range(2)]
        assert logs[0].read_bytes() != logs[1].read_bytes()


def test_the_best_the_median_and_the_worst_are_side_by_side(seeds):
    run = read_runs(Workdir(seeds))[0]
    runs = [
        dataclasses.replace(run, result={**run.result, "top1": top1})
        for top1 in (0.7, 0.9, None, 0.8, 0.6)
    ]
    found = [(name, own.result["top1"]) for name, own in extremes(runs)]
    assert found == [("best", 0.9), ("median", 0.8), ("worst", 0.6)]
    found = [(name, own.result["top1"]) for name, own in extremes(runs[:3])]
    assert found == [("best", 0.9), ("worst", 0.7)]
    assert extremes(runs[:1]) == []
    page = Reader((seeds / "report" / "index.html").read_text("utf-8"))
    assert "Best and worst" in page.text
    for name in ("best", "worst"):
        assert any(own.startswith(f"{name}-stage1-") for own in page.ids)


def test_the_summary_is_of_what_the_seeds_found(seeds):
    summary = files.read_json(seeds / "summary.json")
    results = [files.read_json(seeds / f"seed-{n}/result.json") for n in range(2)]
    assert [row["seed"] for row in summary["runs"]] == [0, 1]
    madds = [result["madds"] for result in results]
    assert summary["means"]["madds"]["mean"] == sum(madds) / 2
    top1 = [result["top1"] for result in results]
    # Student's t of two: 12.7062.
    half = 12.7062 * statistics.stdev(top1) / 2**0.5
    assert summary["means"]["top1"]["interval95"] == pytest.approx(half, rel=1e-4)
    kept = []
    for n in range(2):
        found = files.read_json(seeds / f"seed-{n}/search/architecture.json")
        kept += [
            (stage, edge["src"], edge["dst"], op)
            for stage, own in enumerate(found["stages"])
            for edge in own["edges"]
            for op in edge["ops"]
        ]
    told = [
        (stage, edge["src"], edge["dst"], op)
        for stage, own in enumerate(summary["stages"])
        for edge in own["edges"]
        for op, count in edge["ops"].items()
        for _ in range(count)
    ]
    assert sorted(told) == sorted(kept)
    assert {edge["runs"] for own in summary["stages"] for edge in own["edges"]} > {2}
    gates = [
        files.read_rows(seeds / f"seed-{n}/search/gates.jsonl")[-1] for n in range(2)
    ]
    edge = summary["stages"][1]["edges"][0]
    values = [row["beta"][1][edge["dst"] - 1][0] or 0.0 for row in gates]
    told = {"mean": statistics.mean(values), "std": statistics.stdev(values)}
    assert edge["gate"] == pytest.approx(told, abs=1e-4)


def test_a_mean_has_the_interval_of_students_t():
    """Of 1, 2, 3, 4: t(0.975, 3) = 3.18245, s = 1.29099."""
    told = _mean([1, 2, None, 3, 4])
    assert (told["mean"], told["runs"]) == (2.5, 4)
    assert told["interval95"] == pytest.approx(3.18245 * 1.29099 / 2, rel=1e-5)
    assert _mean([7])["interval95"] is None


def test_its_page_shows_and_links_all_seeds(seeds, capsys):
    page = (seeds / "report" / "index.html").read_text("utf-8")
    read = Reader(page)
    assert "2 of 2 finished" in read.text
    for n in range(2):
        assert f'href="../seed-{n}/report/index.html"' in page
        assert (seeds / f"seed-{n}" / "report" / "index.html").is_file()
    assert 'http-equiv="refresh"' not in page
    for label in ("How many of the networks keep", "Mean gates of the seeds"):
        assert label in page
    assert report.main([f"--workdir={seeds}"]) == 0
    assert capsys.readouterr().out.strip() == str(seeds / "report" / "index.html")


def test_other_commands_take_the_workdir_or_say_what_to_name(seeds, tmp_path, capsys):
    assert compare.main([str(seeds)]) == 0
    out = capsys.readouterr().out
    assert "seed-0" in out and "seed-1" in out
    flags = [f"--workdir={seeds}", f"--out={tmp_path / 'out'}", "--weights=none"]
    assert export.main(flags) == 2
    assert "has the runs of 2 seeds; name one of them" in capsys.readouterr().err


def test_more_seeds_go_on_from_those_that_are_there(
    seeds, tiny_flags, tmp_path, capsys, monkeypatch
):
    """What is there keeps its bytes and its times; one that failed is tried again."""
    path, one = tmp_path / "more", in_turn.search
    shutil.copytree(seeds, path)
    capsys.readouterr()
    assert main.main(tiny_flags(path, seeds=2)) == 0
    assert "is done already" in capsys.readouterr().out

    def failing(job, *others):
        if job.config.seed == 2:
            raise DivergedError("the loss became nan.")
        one(job, *others)

    before = [(path / f"seed-{n}/result.json").read_bytes() for n in range(2)]
    monkeypatch.setattr(in_turn, "search", failing)
    assert main.main(tiny_flags(path, seeds=3, **SEARCH)) == 3
    said = capsys.readouterr().err
    assert "1 of 3 seeds have no result, the others are done; seed 2: the loss" in said
    summary = files.read_json(path / "summary.json")
    assert [row["seed"] for row in summary["runs"]] == [0, 1]
    assert summary["failed"] == [{"seed": 2, "why": "the loss became nan."}]
    monkeypatch.setattr(in_turn, "search", one)
    assert main.main(tiny_flags(path, seeds=3, **SEARCH)) == 0
    summary = files.read_json(path / "summary.json")
    assert [row["seed"] for row in summary["runs"]] == [0, 1, 2]
    assert not summary["failed"]
    assert summary["means"]["top1"]["runs"] == 2  # The third is not retrained.
    assert [(path / f"seed-{n}/result.json").read_bytes() for n in range(2)] == before
    assert main.main(tiny_flags(path, **SEARCH)) == 2
    assert "seeds (stored 3, now 1)" in capsys.readouterr().err
    (path / "summary.json").write_text(json.dumps({**summary, "runs": [{"seed": 0}]}))
    assert main.main(tiny_flags(path, seeds=3, **SEARCH)) == 2
    assert "summary.json' is damaged ('top1' is missing)" in capsys.readouterr().err
