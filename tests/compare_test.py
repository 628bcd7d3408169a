import csv
import pathlib
import re
import shutil

import pytest
from pages import Reader, change, interrupted
from tiny import TARGET

from ifnas_jax import compare, files
from ifnas_jax.report import curves
from ifnas_jax.report.run import read_run


@pytest.fixture
def seeds(finished, tmp_path):
    """The finished run, and copies as if of other seeds; two of another method.

    Accuracies 0.5, 0.6 and 0.7 of the one method, 0.25 of the other, one of whose runs
    goes on.
    """
    names, skip = [], shutil.ignore_patterns("checkpoints")
    for seed, top1 in enumerate((0.5, 0.6, 0.7)):
        names.append(tmp_path / f"if-{seed}")
        shutil.copytree(finished[0], names[-1], ignore=skip)
        change(names[-1], "config.json", seed=seed, jobs=["search", "retrain"])
        change(names[-1], "result.json", seed=seed, top1=top1)
    names.append(tmp_path / "dnas-0")
    shutil.copytree(finished[0], names[-1], ignore=skip)
    change(names[-1], "config.json", method="dnas", tensorboard=True)
    change(names[-1], "result.json", method="dnas", top1=0.25)
    names.append(tmp_path / "dnas-1")
    interrupted(finished[0], names[-1])
    change(names[-1], "config.json", method="dnas", seed=1)
    return [str(name) for name in names]


def run(capsys, *argv):
    """Exit code, output and errors."""
    code = compare.main(argv)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def cells(line):
    return re.split(r"\s{2,}", line)


def test_a_row_for_each_run_and_means_over_seeds(seeds, capsys):
    code, out, _ = run(capsys, *seeds)
    assert code == 0
    _, runs, groups = out.strip().split("\n\n")  # One seed is no group to test.
    header, *rows = map(cells, runs.splitlines())
    result = files.read_json(f"{seeds[0]}/result.json")
    assert dict(zip(header, rows[0], strict=True)) == {
        "run": "if-0",
        "method": "ifnas",
        "seed": "0",
        "top-1 %": "50.00",
        "error %": "50.00",
        "MAdds": f"{result['madds'] / 1e6:.2f}M",
        "params": f"{result['params'] / 1e6:.3f}M",
        "depth": str(result["depth"]),
        "edges": rows[1][header.index("edges")],
        "search s": f"{result['search_seconds']:.0f}",
        "state": "finished",
    }
    assert [row[0] for row in rows] == ["if-0", "if-1", "if-2", "dnas-0", "dnas-1"]
    assert rows[-1][header.index("top-1 %")] == "-"
    assert rows[-1][-1].startswith("unfinished: searching, epoch 2.")
    header, first, second = map(cells, groups.splitlines())
    # 0.5, 0.6, 0.7 have mean 0.6 and deviation 0.1; Student's 97.5 % with 2 degrees.
    assert first[:3] == ["ifnas", "3", f"60.00 ± {4.30265 * 10 / 3**0.5:.2f}"]
    assert second[:3] == ["dnas", "1 of 2", "25.00"]
    assert first[header.index("depth")] == f"{result['depth']} ± 0"


def test_groups_are_told_apart_by_what_differs(seeds, capsys):
    config = files.read_json(f"{seeds[2]}/config.json")
    config["search"]["momentum"] = 0.5
    files.write_json(f"{seeds[2]}/config.json", config)
    _, out, _ = run(capsys, *seeds[:3])
    _, first, second = map(cells, out.strip().split("\n\n")[-1].splitlines())
    assert first[:3] == [
        "ifnas, search.momentum=0.9",
        "2",
        f"55.00 ± {12.7062 * 5:.2f}",
    ]
    assert second[:3] == ["ifnas, search.momentum=0.5", "1", "70.00"]


def test_a_mean_says_how_many_runs_it_is_of(seeds, capsys):
    """One was searched only, and is finished all the same."""
    change(pathlib.Path(seeds[1]), "config.json", jobs=["search"])
    change(pathlib.Path(seeds[1]), "result.json", top1=None)
    _, out, _ = run(capsys, *seeds[:3])
    _, row = map(cells, out.strip().split("\n\n")[-1].splitlines())
    assert row[:3] == ["ifnas", "3", f"60.00 ± {12.7062 * 10:.2f} (2)"]


def test_page_of_a_comparison(seeds, tmp_path, capsys):
    path = tmp_path / "compare.html"
    code, _, _ = run(capsys, *seeds, f"--html={path}")
    assert code == 0
    source = path.read_text(encoding="utf-8")
    page = Reader(source)
    assert len(page.ids) == len(set(page.ids))
    assert {url[0] for url in page.urls} == {"#", "d"}
    assert source.count("<svg") == 15  # gates, cost and architecture of each
    assert str(tmp_path) not in source
    # The last search is shorter, and has the others' scales.
    costs = re.findall(r'<svg [^>]*aria-label="MAdds.*?</svg>', source, re.DOTALL)
    # Numbers with their places.
    ticks = {tuple(re.findall(r"<text [^>]*>\d[\d.]*</text>", cost)) for cost in costs}
    assert (len(costs), len(ticks)) == (5, 1)
    assert "dnas-1, what is left so far" in page.text
    assert "60.00 ± 24.84" in page.text
    assert 'method "ifnas" "ifnas" "ifnas" "dnas" "dnas"' in page.text
    assert "1 field differs" in page.text


def test_one_run_has_one_table(seeds, tmp_path, capsys):
    path = tmp_path / "one.html"
    code, out, _ = run(capsys, seeds[0], f"--html={path}")
    assert (code, len(out.strip().split("\n\n"))) == (0, 2)
    source = path.read_text(encoding="utf-8")
    assert source.count("<table") == 1
    assert "differ in" not in source


def test_names_are_the_shortest_ends_that_differ(seeds, tmp_path, capsys):
    nested = tmp_path / "others" / "if-0"
    shutil.copytree(seeds[1], nested)
    _, out, _ = run(capsys, seeds[0], str(nested), seeds[2])
    names = [cells(line)[0] for line in out.split("\n\n")[1].splitlines()[1:]]
    assert names == [f"{tmp_path.name}/if-0", "others/if-0", f"{tmp_path.name}/if-2"]


def test_curves_beside_each_other_have_one_scale(seeds):
    """The last search was stopped in the middle, so its own axis would be shorter."""
    runs = [read_run(seeds[0]), read_run(seeds[-1])]
    drawn = [curves.draw_cost(r.search, r.prunings, TARGET) for r in runs]
    ends = [figure.axes[0].get_xlim()[1] for figure in drawn]
    assert ends[0] > ends[1]
    curves.share_limits(drawn)
    for one, other in zip(*(figure.axes for figure in drawn), strict=True):
        assert (one.get_xlim(), one.get_ylim()) == (other.get_xlim(), other.get_ylim())
    assert drawn[1].axes[0].get_xlim()[1] == ends[0]


def test_what_cannot_be_compared_is_refused(finished, tmp_path, capsys):
    run_a = str(finished[0])
    (tmp_path / "empty").mkdir()
    data, broken, copy = tmp_path / "data", tmp_path / "broken", tmp_path / "copy"
    for path in (data, broken, copy):
        path.mkdir()
        shutil.copy(finished[0] / "config.json", path)
    config = files.read_json(data / "config.json")
    config["dataset"]["name"] = "cifar10"
    files.write_json(data / "config.json", config)
    folders = [tmp_path / "cats", tmp_path / "dogs"]
    for path in folders:
        config["dataset"] |= {"name": "folder", "contents": path.name}
        path.mkdir()
        files.write_json(path / "config.json", config)
    (broken / "search" / "metrics.jsonl").mkdir(parents=True)
    change(copy, "config.json", jobs=["search"])
    for argv, words in (
        ([run_a, str(tmp_path / "empty")], "holds no config.json, so it is no run"),
        ([run_a, f"{run_a}/../{finished[0].name}"], "with seed 0, which would count"),
        ([run_a, str(copy)], "with seed 0, which would count twice"),
        ([run_a, str(data)], "'cifar10'; compare runs on one data set."),
        (list(map(str, folders)), "'dogs'; compare runs on one data set."),
        ([run_a, str(broken)], "metrics.jsonl' cannot be read (Is a directory)"),
        ([run_a, f"--html={tmp_path}/absent/a.html"], "--html"),
        (["absent", f"--html={run_a}/config.json"], "end its name in .html."),
        (["absent", f"--csv={run_a}/config.json"], "end its name in .csv."),
    ):
        code, _, error = run(capsys, *argv)
        assert code == 2
        assert words in error
        assert error.startswith("compare: ")
        assert error.count("\n") == 1


def test_groups_are_tested_and_all_numbers_are_written(seeds, tmp_path, capsys):
    """Two groups of two: with equal spreads of 0.1 and means 0.25 apart."""
    change(pathlib.Path(seeds[0]), "config.json", method="dnas", tensorboard=True)
    change(pathlib.Path(seeds[0]), "result.json", method="dnas", top1=0.35, seed=5)
    change(pathlib.Path(seeds[0]), "config.json", seed=5)
    table, text = tmp_path / "runs.csv", tmp_path / "runs.json"
    chosen = [seeds[1], seeds[2], seeds[0], seeds[3]]
    _, out, _ = run(capsys, *chosen, f"--csv={table}", f"--json={text}")
    tests = [cells(line) for line in out.strip().split("\n\n")[-1].splitlines()]
    row = next(row for row in tests if row[:2] == ["dnas", "top-1 %"])
    # Of 6 ways to divide four into two and two this is the most extreme: 2/6.
    assert (row[2], row[4]) == ("-35.00", "0.333")
    told = files.read_json(text)
    assert [own["label"] for own in told["groups"]] == ["ifnas", "dnas"]
    found = told["groups"][1]["columns"]["error"]["against_first"]
    assert found["mean"] == pytest.approx(0.35)
    assert found["low"] < 0.35 < found["high"]
    header, *rows = csv.reader(table.read_text().splitlines())
    assert header[:5] == ["run", "method", "seed", "space", "state"]
    assert [row[0] for row in rows] == ["if-1", "if-2", "if-0", "dnas-0"]
    assert rows[0][header.index("top1")] == "0.6"


def test_spaces_may_differ(finished, seeds, tmp_path, capsys):
    """A run that has only begun, in a space of fewer precursors."""
    other = tmp_path / "other"
    other.mkdir()
    config = files.read_json(finished[0] / "config.json")
    config["space"]["num_precursors"] = 2
    files.write_json(other / "config.json", config)
    page = tmp_path / "both.html"
    code, out, _ = run(capsys, seeds[0], str(other), f"--html={page}")
    assert code == 0
    assert out.startswith("2 spaces")
    names = "lchain, L = 3, 1 + 3 + 1 nodes", "lchain, L = 2, 1 + 3 + 1 nodes"
    labels = out.strip().split("\n\n")[-1]
    assert all(f"ifnas, {name}" in labels for name in names)
    assert "2 runs in 2 spaces" in page.read_text(encoding="utf-8")
