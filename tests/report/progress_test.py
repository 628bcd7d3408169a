import io

import pytest

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


SEARCH = {
    "phase": "prune",
    "group": "group 3",
    "loss": "loss 0.513",
    "accuracy": "acc 83.1%",
    "valid": "valid 80.2%",
    "edges": "edges 206",
    "madds": "600.1M MAdds",
}


ALL = "search     20/30000  prune  group 3  loss 0.513  acc 83.1%  valid 80.2%  "


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (120, ALL + "edges 206  600.1M MAdds  2.0 it/s  ETA 4:09:50"),
        (
            80,
            "search     20/30000  prune  loss 0.513  edges 206  600.1M MAdds  "
            "ETA 4:09:50",
        ),
        (40, "search     20/30000  ETA 4:09:50"),
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


def test_long_times_and_slow_steps_read_well():
    stream, clock = io.StringIO(), Clock()
    run(50_000, stream, clock, [0, 1], seconds=8).close()
    assert stream.getvalue().splitlines()[-1].endswith("8.0 s/it  ETA 4d 15:06:32")
