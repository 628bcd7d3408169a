"""Sweeps: what is run when, what is not repeated, what they leave."""

import dataclasses
import functools
import os
import pathlib
import subprocess
import sys
import time

import pytest

from ifnas_jax import files
from ifnas_jax.errors import DivergedError, InputError
from ifnas_jax.experiments import __main__ as command
from ifnas_jax.experiments import cells, scales, sweep
from ifnas_jax.experiments.cells import Place
from ifnas_jax.experiments.settings import Cell, Setting

BASE = functools.partial(scales.base, "proxy", "mnist5k", "", ())


def note(cell, place, failing=()):
    """A study that leaves a line of what it did, and where."""
    with open(f"{place.workdir}/log", "a") as log:
        log.write(f"{cell.setting.label} {cell.seed}\n")
    if cell.seed in failing:
        raise DivergedError("the loss is not finite.")
    return {"value": cell.seed}


def studies(*labels, **fields):
    return [
        Setting(label, BASE(), study=functools.partial(note, **fields), variant=label)
        for label in labels
    ]


def test_a_sweep_runs_what_is_not_done_first_all_settings_of_a_seed(tmp_path):
    place, settings = Place(str(tmp_path)), studies("a", "b")
    sweep.run_here(sweep.units(settings, range(2)), place)
    lines = (tmp_path / "log").read_text().split("\n")[:-1]
    assert lines == ["a 0", "b 0", "a 1", "b 1"]
    sweep.run_here(sweep.units(settings, range(3)), place)
    assert (tmp_path / "log").read_text().split("\n")[4:-1] == ["a 2", "b 2"]
    rows = sweep.rows_of(settings, range(3), place)
    assert [(row["setting"], row["value"]) for row in rows] == [
        (label, seed) for label in "ab" for seed in range(3)
    ]
    assert not sweep.missing(settings, range(3), place)
    assert [cell.seed for cell in sweep.missing(settings, range(4), place)] == [3, 3]


def test_what_diverges_is_told_and_not_tried_again(tmp_path):
    place, settings = Place(str(tmp_path)), studies("a", failing=(1,))
    for _ in range(2):
        sweep.run_here(sweep.units(settings, range(3)), place)
    assert (tmp_path / "log").read_text() == "a 0\na 1\na 2\n"
    rows = sweep.rows_of(settings, range(3), place)
    assert [row.get("failed") for row in rows] == [
        None,
        "the loss is not finite.",
        None,
    ]


def test_parts_have_every_unit_once():
    every = sweep.units(studies("a", "b", "c"), range(3))
    parts = [sweep.part_of(every, f"{number}/4") for number in (1, 2, 3, 4)]
    assert sorted(len(part) for part in parts) == [2, 2, 2, 3]
    joined = [cell.name for part in parts for unit in part for cell in unit]
    assert sorted(joined) == sorted(cell.name for unit in every for cell in unit)
    for wrong in ("0/4", "5/4", "1", "a/b", "1/0"):
        with pytest.raises(InputError, match="write it as 2/4"):
            sweep.part_of(every, wrong)


def test_settings_of_one_config_share_their_cells():
    twins = [Setting("a", BASE(), trained=()), Setting("b", BASE())]
    (unit,) = sweep.units(twins, [0])
    assert [cell.what for cell in unit] == ["search", "found"]


def test_consecutive_seeds_are_one_program():
    one, other = Setting("a", BASE()), Setting("b", BASE(method="dnas"))
    drawn = Setting("c", BASE(method="random"))
    todo = [Cell(one, seed, "search") for seed in (0, 1, 3, 4, 5)]
    todo += [Cell(other, 7, "search"), Cell(one, 2, "found")]
    todo += [Cell(drawn, seed, "search") for seed in (0, 1)]
    found = sweep.consecutive(todo)
    assert [[cell.seed for cell in own] for own in found] == [[0, 1], [3, 4, 5]]


def meet(cell, place):
    """A study that ends when two are at work, each in a process of its own."""
    path = pathlib.Path(place.workdir) / "at work"
    path.mkdir(exist_ok=True)
    (path / str(os.getpid())).touch()
    deadline = time.monotonic() + 60
    while len(list(path.iterdir())) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return note(cell, place)


def in_two_workers(folder):
    """What the test below runs in a process of its own."""
    settings = [
        *(dataclasses.replace(own, study=meet) for own in studies("a", "b")),
        *studies("c", failing=(0,)),
    ]
    every = sweep.units(settings, range(2))
    sweep.run_with_ray(every, Place(folder), cores=1)


def test_ray_runs_units_in_two_workers(tmp_path):
    place, settings = Place(str(tmp_path)), studies("a", "b")
    sweep.run_here(sweep.units(settings, range(1)), place)
    environment = {
        **os.environ,
        # Its workers import this file, ask nobody, and tell nobody.
        "PYTHONPATH": os.path.dirname(__file__),
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    script = f"import sweep_test; sweep_test.in_two_workers({str(tmp_path)!r})"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "fork" not in done.stderr
    assert done.stdout.splitlines()[-1] == "unit 4 of 4, ETA 0:00"
    assert len(list((tmp_path / "at work").iterdir())) == 2
    rows = sweep.rows_of(settings, range(2), place)
    assert [row["value"] for row in rows] == [0, 1, 0, 1]
    # What was done before is not repeated.
    assert sorted((tmp_path / "log").read_text().split()[::2]) == list("aabbcc")


def test_a_table_from_the_search_to_the_page(swept, capsys, sweep_flags):
    """One seed of one setting: a search, and the training of what it found."""
    rows = [files.read_json(path) for path in (swept / "cells").iterdir()]
    found = {row["what"]: row for row in rows}
    assert set(found) == {"search", "target"}
    search, trained = found["search"], found["target"]
    assert search["changes"]["derive"] == "keep1"
    assert search["networks"]["target"]["madds"] == trained["madds"] <= 530_000
    assert search["networks"]["keep1"]["depth"] >= 3
    assert (len(search["entropy"]), search["at"][-1]) == (
        len(search["agreement"]),
        search["steps"],
    )
    assert trained["stages"] == search["networks"]["target"]["stages"]
    assert 0 < trained["top1"] <= 1
    assert trained["machine"]["cores"] > 0
    results = swept / "results"
    names = {path.name for path in results.iterdir()}
    forms = {"table4.md", "table4.tex", "table4.json", "table4-1.csv", "table4-2.csv"}
    assert names >= forms
    page = (results / "table4.md").read_text()
    assert f"| {100 * (1 - trained['top1']):.2f} |" in page
    assert "From the paper, not run here." in page
    assert "data: mnist5k; scale: proxy; seeds: 0" in page
    # Shown again, nothing is run; what there is not is said.
    flags = sweep_flags("table4", swept, "--seeds=2", "--show")
    assert command.main(flags) == 0
    assert "NOT RUN YET: 14 cells" in capsys.readouterr().out


def test_searches_as_one_program_leave_the_same_cells(swept, sweep_flags, tmp_path):
    """The population's way, which accelerators go; its seed 0 is the run alone."""
    own = files.read_json(next((swept / "cells").glob("*search.json")))
    flags = sweep_flags("table4", tmp_path)
    overrides = tuple(flag for flag in flags if flag.startswith("--config."))
    data = next(flag for flag in flags if "data-dir" in flag).partition("=")[2]
    base = functools.partial(scales.base, "proxy", "mnist5k", data, overrides)
    from ifnas_jax.experiments import table4

    (setting,) = (s for s in table4.settings(base) if s.label == "w/ IF")
    place = Place(str(tmp_path))
    both = [Cell(setting, seed, "search") for seed in (0, 1)]
    cells.run_searches(both, place)
    first, second = (place.read(cell) for cell in both)
    timed = {"seconds", "search_seconds", "compile_seconds", "machine", "lanes"}
    same = first.keys() - timed
    assert {key: first[key] for key in same} == {key: own[key] for key in same}
    assert second["gates"] != first["gates"]
    # Who looks for a seed's run finds it among the others'.
    run = place.run(both[1])
    assert files.read_json(run.config)["seed"] == 1
    assert run.path.endswith("-seeds-0-1/seed-1")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--seeds=0"], "--seeds is 0"),
        (["--only=w/ if"], "--only names 'w/ if'; choose from"),
        (["--part=3/2"], "--part is '3/2'"),
        (["--config.search.batch=2"], "no field 'search.batch'"),
    ],
)
def test_bad_input_is_one_sentence(more, words, sweep_flags, tmp_path, capsys):
    assert command.main(sweep_flags("table4", tmp_path / "w", *more)) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.startswith("experiments: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "w").exists()
