import io
import os
import re
import termios

import pytest

from ifnas_jax.report.logs import progress_fields
from ifnas_jax.report.progress import Progress


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(total, stream, clock, steps, seconds=1.0):
    progress = Progress("search", total, stream, clock)
    for step in steps:
        progress.update(step, phase="prune", loss="loss 0.513")
        clock.now += seconds
    return progress


def test_plain_lines_are_few_and_the_last_is_shown():
    stream, clock = io.StringIO(), Clock()
    run(13, stream, clock, range(1, 14)).close()
    assert stream.getvalue().splitlines() == [
        "search   1/13  prune  loss 0.513",
        "search   6/13  prune  loss 0.513  1.0 it/s  ETA 0:07",
        "search  11/13  prune  loss 0.513  1.0 it/s  ETA 0:02",
        "search  13/13  prune  loss 0.513  1.0 it/s  ETA 0:00",
    ]


def test_a_run_that_stops_early_shows_its_last_step():
    stream, clock = io.StringIO(), Clock()
    run(100, stream, clock, range(1, 4)).close()
    assert stream.getvalue().splitlines()[-1].startswith("search    3/100")


def test_eta_counts_recent_steps_of_a_resumed_run():
    stream, clock = io.StringIO(), Clock()
    # 20 steps of 10 s, as if compiling between them, then 40 of half a second.
    progress = run(2000, stream, clock, range(1000, 1020), seconds=10)
    for step in range(1020, 1100):
        progress.update(step)
        clock.now += 0.5
    progress.close()
    assert stream.getvalue().splitlines()[-1].endswith("2.0 it/s  ETA 7:30")


def test_a_terminal_line_is_rewritten_and_fits(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    stream, clock = Terminal(), Clock()
    progress = run(9, stream, clock, [1, 2])
    progress.note("pruned 3 operators")
    progress.close()
    first, second, noted = stream.getvalue().split("\r\x1b[K")[1:-1]
    assert (first, second) == ("search  1/9", "search 2/9 ETA 0:07")
    assert noted == "pruned 3 operators\n"
    assert all(len(line) < 20 for line in (first, second))


ROW = {
    "phase": "prune",
    "group": 3,
    "loss": 0.5132,
    "accuracy": 0.8312,
    "edges": 206,
    "madds": 600_100_000,
}
SEARCH = progress_fields(ROW | {"valid_accuracy": 0.802})

ALL = "search     20/30000  prune  group 3  loss 0.513  acc 83.1%  valid 80.2%  "


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (120, ALL + "edges 206  600.1M MAdds  2.0 it/s  ETA 4h09"),
        (
            80,
            "search    20/30000 prune g3 loss 0.513 83.1% edges 206 600.1M 2.0/s "
            "ETA 4h09",
        ),
        (40, "search     20/30000  600.1M  ETA 4h09"),
        (20, "search     20/30000"),
        (10, "search  …"),
    ],
)
def test_a_narrow_terminal_goes_without_whole_fields(monkeypatch, columns, line):
    monkeypatch.setenv("COLUMNS", str(columns))
    stream, clock = Terminal(), Clock()
    progress = Progress("search", 30_000, stream, clock)
    for step in range(21):
        progress.update(step, **SEARCH)
        clock.now += 0.5
    assert stream.getvalue().split("\r\x1b[K")[-1] == line
    assert len(line) < columns


@pytest.mark.parametrize(("phase", "group"), [("weights", 0), ("prune", 3)])
@pytest.mark.parametrize("seconds", [0.001, 0.02, 8.0])
def test_a_line_of_80_columns_has_all_that_is_followed(
    monkeypatch, phase, group, seconds
):
    monkeypatch.setenv("COLUMNS", "80")
    stream, clock = Terminal(), Clock()
    progress = Progress("search", 34_560, stream, clock)
    fields = progress_fields(ROW | {"phase": phase, "group": group, "madds": 1.2e9})
    for step in range(12_340, 12_361):
        progress.update(step, **fields)
        clock.now += seconds
    progress.close()
    line = stream.getvalue().split("\r\x1b[K")[-1].rstrip("\n")
    assert len(line) < 80
    words = rf"search +12360/34560 +{phase} .*loss 0\.513 .*83\.1%.* 206 .*1200M .*ETA "
    assert re.match(words, line)
    assert ("g3" if group else "all") in line.split()
    assert re.search(r" [\d.]+(/s|s) ", line)


def test_the_width_is_that_of_the_terminal_that_shows_the_line(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # of another one
    ours, theirs = os.openpty()
    try:
        termios.tcsetwinsize(theirs, (24, 50))
        with open(theirs, "w", closefd=False) as stream:
            Progress("search", 30_000, stream, Clock()).update(20, **SEARCH)
        line = os.read(ours, 1000).decode().removeprefix("\r\x1b[K")
    finally:
        os.close(ours)
        os.close(theirs)
    assert 30 < len(line) < 50


def test_long_times_and_slow_steps_read_well():
    stream, clock = io.StringIO(), Clock()
    run(50_000, stream, clock, [0, 1], seconds=8).close()
    assert stream.getvalue().splitlines()[-1].endswith("8.0 s/it  ETA 4d15h")
