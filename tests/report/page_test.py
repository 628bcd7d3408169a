import collections
import contextlib
import json
import logging
import os
import re
import shutil
import sys

import pytest
from pages import Reader, change, interrupted

from ifnas_jax import architecture, files, main
from ifnas_jax import config as config_lib
from ifnas_jax.report import __main__ as command
from ifnas_jax.report import arcs, gates, inline, logs, watch
from ifnas_jax.report.page import write_page
from ifnas_jax.report.run import read_run
from ifnas_jax.report.write import attempt_report
from ifnas_jax.run import result
from ifnas_jax.run.workdir import Workdir


def arcs_of(page):
    """The arcs of the network that is drawn."""
    return sorted(x for x in page.ids if x.startswith("architecture-stage"))


def pairs(stages):
    return sorted(
        f"architecture-stage{index}-{edge.src}-{edge.dst}-{op}"
        for index, stage in enumerate(stages, start=1)
        for edge in stage.edges
        for op in edge.ops
    )


def read_page(workdir):
    source = (workdir / "report" / "index.html").read_text(encoding="utf-8")
    return Reader(source), source


def test_page_of_a_finished_run(finished):
    workdir, _ = finished
    page, source = read_page(workdir)
    came_to = files.read_json(workdir / "result.json")
    found = architecture.load(workdir / "search" / "architecture.json")
    assert arcs_of(page) == pairs(found.stages)
    for words in (
        "ifnas on mnist5k",
        f"{100 * came_to['top1']:.2f} %",
        f"{came_to['madds'] / 1e6:.2f}M",
        "met by pruning",
        f"jax {came_to['versions']['jax']}",
        'penalty.schedule "paced"',
    ):
        assert words in page.text, words
    assert "unfinished" not in page.text
    assert "refresh" not in page.metas
    # Every removal is a row, and every field of the config.
    removed = files.read_rows(workdir / "search" / "prunings.jsonl")
    row = r"<td>(-?\d+) → (\d+)</td><td>([a-z]\w+)</td><td>[^<]*</td>"
    row += r"<td[^>]*>([^<]*)</td>"
    listed = re.findall(row, source)
    gate = lambda own: "-" if own["gate"] is None else f"{own['gate']:.3g}"  # noqa: E731
    assert listed == [(str(r["src"]), str(r["dst"]), r["op"], gate(r)) for r in removed]
    assert {g != "-" for *_, g in listed} == {True}
    # Every connection that is kept is one too, with its gate; every node has a panel.
    last = files.read_rows(workdir / "search" / "gates.jsonl")[-1]["beta"]
    assert re.findall(
        r"<td>(-?\d+) → (\d+)</td><td[^>]*>(\d[\d.e-]*)</td>", source
    ) == [
        (str(e.src), str(e.dst), f"{last[index][e.dst - 1][e.dst - e.src - 1]:.3g}")
        for index, stage in enumerate(found.stages)
        for e in stage.edges
    ]
    for index, stage in enumerate(found.stages, start=1):
        for node in range(1, stage.graph.num_nodes + 1):
            assert f"Gates over steps: stage {index} node {node}" in source
    parts = re.findall(r"<td>(\d+\.\d)%</td>", source)
    assert sum(map(float, parts)) == pytest.approx(100, abs=0.5)
    assert f"{len(read_run(workdir).config)} fields" in page.text


def test_page_stands_alone(finished):
    page, source = read_page(finished[0])
    # Nothing but parts of the page itself is named.
    assert {url[0] for url in page.urls} == {"#", "d"}
    assert page.urls.count("data:,") == 1
    assert {url[0] for url in re.findall(r"url\(([^)]*)\)", source)} <= {"#"}
    assert "<script" not in source
    assert "@import" not in source
    assert page.metas["Content-Security-Policy"].startswith("default-src 'none'")
    # The figures don't get in each other's way.
    assert max(collections.Counter(page.ids).values()) == 1
    names = {url[1:] for url in page.urls if url[0] == "#"}
    names |= {url[1:] for url in re.findall(r"url\((#[^)]*)\)", source)}
    assert names <= set(page.ids)
    # Each colour of a figure has a value in both schemes.
    used = set(re.findall(r"var\((--c\w{6})\)", source))
    for name in used:
        assert source.count(f"{name}:#") == 2
    assert re.search(r'style="[^"]*#[0-9a-f]{6}', source) is None
    assert len(source) < 600_000


def test_page_of_a_run_that_goes_on(finished, tmp_path, capsys):
    # Names are shown, not obeyed.
    workdir = tmp_path / 'a<b>&"c'
    last = interrupted(finished[0], workdir)
    assert command.main([f"--workdir={workdir}"]) == 0
    assert capsys.readouterr().out.strip() == str(workdir / "report" / "index.html")
    page, _ = read_page(workdir)
    assert page.metas["refresh"] == "30"
    assert 'a<b>&"c: ifnas on mnist5k' in page.text
    assert re.search(r"unfinished: searching, epoch \d\.\d of 4\b", page.text)
    assert f"What is left of the space at step {last}." in page.text
    # By the list of removals, not by the gates.
    run = read_run(workdir)
    left = {
        f"architecture-stage{index}-{src}-{dst}-{op}"
        for index, stage in enumerate(run.space.stages, start=1)
        for src, dst in stage.edges()
        for op in run.space.operators
    }
    for row in run.prunings:
        where = f"{row['stage']}-{row['src']}-{row['dst']}-{row['op']}"
        left.remove(f"architecture-stage{where}")
    assert arcs_of(page) == sorted(left)
    assert run.prunings
    assert arcs_of(page) != arcs_of(read_page(finished[0])[0])


def test_page_of_a_run_that_has_only_begun(finished, tmp_path):
    shutil.copy(finished[0] / "config.json", tmp_path)
    assert command.main([f"--workdir={tmp_path}"]) == 0
    page, _ = read_page(tmp_path)
    assert "unfinished: searching" in page.text
    assert "<svg" not in page.text
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["index.html"]


def test_page_while_retraining(finished, tmp_path):
    workdir = tmp_path / "run"
    skip = shutil.ignore_patterns("checkpoints", "summary.json", "result.json")
    shutil.copytree(finished[0], workdir, ignore=skip)
    log = workdir / "retrain" / "metrics.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:4]))
    assert command.main([f"--workdir={workdir}"]) == 0
    page, _ = read_page(workdir)
    assert re.search(r"unfinished: retraining, epoch \d\.\d of 3", page.text)
    assert "The network that was found." in page.text


BAD = {
    "no folder": (None, "holds no config.json, so it is no run"),
    "not JSON": ("{", "is damaged"),
    "another object": ("{}", "is no config of a run ('method' is missing)"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_folder_that_is_no_run_is_refused(case, tmp_path, capsys):
    content, words = BAD[case]
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    assert command.main([f"--workdir={tmp_path}"]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.startswith("report: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "report").exists()


def test_gates_of_another_space_are_refused(finished, tmp_path, capsys):
    workdir = tmp_path / "run"
    interrupted(finished[0], workdir)
    path = workdir / "search" / "gates.jsonl"
    row = json.loads(path.read_text().splitlines()[0])
    row["beta"][1].pop()
    path.write_text(json.dumps(row) + "\n")
    assert command.main([f"--workdir={workdir}"]) == 2
    assert "are not those of the space" in capsys.readouterr().err


def test_seconds_are_shown_of_what_took_some(finished, tmp_path):
    """An architecture that is drawn takes none."""
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir, ignore=shutil.ignore_patterns("checkpoints"))
    for seconds, shown in ((60.0, True), (0.0, False)):
        change(workdir, "result.json", search_seconds=seconds)
        assert command.main([f"--workdir={workdir}"]) == 0
        _, source = read_page(workdir)
        assert ("<dt>search</dt>" in source) == shown
    rows = files.read_rows(workdir / "search" / "metrics.jsonl")
    step = max(row["step"] for row in rows if "valid_accuracy" in row)
    assert f"% at step {step})" in source


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_page_is_written_now_and_then(finished, tmp_path):
    workdir, clock = tmp_path / "run", Clock()
    interrupted(finished[0], workdir)
    page = workdir / "report" / "index.html"
    written = []

    def write():
        written.append(clock.now)
        write_page(read_run(workdir), {})

    made = watch.Watch(write, clock)
    for clock.now in (1.0, 2.0, 30.0, 31.0, 60.0):
        made.update()
        if made._task:
            made._task.result()
    assert written == [1.0, 31.0]
    with pytest.raises(KeyboardInterrupt), contextlib.closing(made):
        raise KeyboardInterrupt
    assert written == [1.0, 31.0, 60.0]
    assert "unfinished" in page.read_text(encoding="utf-8")


def test_pages_take_three_percent_of_the_time_at_most():
    clock, written = Clock(), []

    def slow():
        written.append(clock.now)
        clock.now += 3

    made = watch.Watch(slow, clock)
    for clock.now in (1.0, 40.0, 100.0, 101.0):
        made.update()
        if made._task:
            made._task.result()
    made.close()
    assert written == [1.0, 101.0]


def test_a_report_that_is_older_than_the_result_is_written_by_the_same_command(
    finished, tiny_flags, tmp_path
):
    """The run was killed between both, or the disk was full."""
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir, ignore=shutil.ignore_patterns("checkpoints"))
    page = workdir / "report" / "index.html"
    page.write_text("kept")
    assert main.main(tiny_flags(workdir)) == 0
    assert page.read_text() == "kept"
    before = (workdir / "result.json").stat().st_mtime - 1
    os.utime(page, (before, before))
    assert main.main(tiny_flags(workdir)) == 0
    text = Reader(page.read_text(encoding="utf-8")).text
    assert "finished" in text
    assert "unfinished" not in text


def test_a_run_whose_jobs_go_on_is_not_finished(finished, tmp_path):
    """Searched to the end, then given retraining too."""
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir, ignore=shutil.ignore_patterns("checkpoints"))
    change(workdir, "config.json", jobs=["search"])
    change(workdir, "result.json", top1=None)
    assert read_run(workdir).finished
    change(workdir, "config.json", jobs=["search", "retrain"])
    rows = workdir / "retrain" / "metrics.jsonl"
    text = rows.read_text()
    (workdir / "retrain" / "summary.json").unlink()
    rows.unlink()
    log = logs.MetricsLog(Workdir(workdir).retrain, 0, tensorboard=False)
    log.begin()
    log.close()
    page, _ = read_page(workdir)
    assert "unfinished: retraining" in page.text
    rows.write_text(text)
    assert not read_run(workdir).finished


def test_the_result_does_not_wait_for_the_report(finished, tmp_path, caplog, capsys):
    workdir, before = tmp_path / "run", files.read_json(finished[0] / "result.json")
    shutil.copytree(finished[0], workdir, ignore=shutil.ignore_patterns("checkpoints"))
    (workdir / "result.json").unlink()
    (workdir / "report" / "gates.svg.tmp").symlink_to("/dev/full")
    arguments = config_lib.default("mnist5k"), Workdir(workdir), before["versions"], 0
    full = workdir / "result.json.tmp"
    full.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        result.write(*arguments)
    full.unlink()
    with caplog.at_level(logging.WARNING):
        result.write(*arguments)
        attempt_report(Workdir(workdir))
    assert files.read_json(workdir / "result.json")["top1"] == before["top1"]
    assert (
        "can't be written (OSError: [Errno 28] No space left on device)" in caplog.text
    )
    assert f"ifnas_jax.report --workdir={workdir}" in caplog.text
    assert command.main([f"--workdir={workdir}"]) == 4
    assert (
        "can't be read or written (No space left on device)" in capsys.readouterr().err
    )


def test_a_job_writes_the_page_with_its_first_row(finished, tmp_path):
    workdir = tmp_path / "run"
    last = interrupted(finished[0], workdir)
    rows = files.read_rows(finished[0] / "search" / "metrics.jsonl")
    log = logs.MetricsLog(Workdir(workdir).search, last, tensorboard=False)
    log.write(next(row for row in rows if row["step"] > last))
    log.close()
    page, _ = read_page(workdir)
    assert "unfinished: searching" in page.text
    # Of the process that computes: no file says it yet.
    assert f"python {sys.version.split()[0]}" in page.text
    assert "platform cpu" in page.text


def test_a_page_that_cannot_be_written_does_not_stop_a_run(finished, tmp_path, caplog):
    workdir = tmp_path / "run"
    interrupted(finished[0], workdir)
    (workdir / "report").write_text("in the way")
    made = watch.Watch(lambda: write_page(read_run(workdir), {}))
    made.update()
    with caplog.at_level(logging.WARNING):
        made.close()
    assert "report/index.html can't be written" in caplog.text


def luminance(color):
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """As the Web Content Accessibility Guidelines define it."""
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_figures_can_be_read_in_the_dark():
    card = inline.CARD
    assert inline.darkened("#ffffff") == card
    for ink, least in (
        (arcs.INK, 7),
        *((color, 3) for color in (arcs.BLUE, arcs.ORANGE, arcs.GREEN, arcs.PURPLE)),
    ):
        assert contrast(ink, "#ffffff") > least
        assert contrast(inline.darkened(ink), card) > least
    # The nearest precursor stands out most, in the dark too.
    shades = [gates.shade(distance, 4) for distance in (1, 2, 3, 4)]
    for colors, paper in (
        (shades, "#ffffff"),
        ([inline.darkened(shade) for shade in shades], card),
    ):
        seen = [contrast(color, paper) for color in colors]
        assert seen == sorted(seen, reverse=True)
        assert seen[-1] > 1.5
