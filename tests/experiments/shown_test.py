"""What every experiment shows of cells that are done; the cells are made up."""

import csv
import functools
import importlib

import numpy as np
import pytest

from ifnas_jax import config as config_lib
from ifnas_jax import files
from ifnas_jax.experiments import __main__ as command
from ifnas_jax.experiments import cells, claims, measures, scales, sweep, table1
from ifnas_jax.experiments.cells import Place
from ifnas_jax.experiments.networks import uniform_choice
from ifnas_jax.experiments.settings import SEARCH, STUDY, every_cell

SEEDS = 3
STUDIES = {
    "node": {
        "begin": 1,
        "rows": [{"step": n, "gates": [0.6, 0.5, 0.4 + n / 100]} for n in (1, 2)],
    },
    "rank": {"accuracies": [n / 100 for n in range(40)]},
}


def base_of(scale):
    return functools.partial(scales.base, scale, "", "", ())


def made_up(cell, top1):
    """What came out of a cell: a drawn network, gates to match, an accuracy."""
    setting, rng = cell.setting, np.random.default_rng(cell.seed)
    network, _ = uniform_choice(setting.config, cell.seed)
    told = {"setting": setting.label, "seed": cell.seed, "what": cell.what}
    told |= {"seconds": 1.0, "machine": cells.machine(), "contents": "c"}
    facts = cells._facts(network)
    if cell.what == STUDY:
        return told | STUDIES[setting.variant.partition("-")[0]]
    if cell.what != SEARCH:
        return told | facts | {"top1": top1, "top5": (1 + top1) / 2}
    told |= {"networks": dict.fromkeys(setting.networks, facts)}
    told |= {"target_met_by": "pruning", "loss": 1.0, "steps": 2, "at": [1, 2]}
    if setting.config.method == "random":
        return told
    space = config_lib.space(setting.config)
    gates = {"step": 2, "beta": [], "alpha": []}
    for full in space.full():
        beta = np.where(
            full.any(axis=2), rng.uniform(size=full.shape[:2]).round(4), None
        )
        gates["beta"].append(beta.tolist())
        gates["alpha"].append(np.where(full, 0.5, None).tolist())
    rows = [gates, gates]
    told |= {"gates": gates, "entropy": measures.entropy(rows)}
    return told | {
        "agreement": measures.agreement(rows),
        "interleaved": [1, 3],
        "learning": [4, 5],
    }


@pytest.fixture
def made(tmp_path):
    """A function: makes up all cells of an experiment; the workdir."""

    def made(name, scale, **top1):
        place = Place(str(tmp_path / "w"))
        (tmp_path / "w" / "cells").mkdir(parents=True)
        settings = importlib.import_module(f"ifnas_jax.experiments.{name}").settings(
            base_of(scale)
        )
        for cell in every_cell(settings, range(first(name), first(name) + SEEDS)):
            noise = cell.seed % 1000 / 1000
            row = made_up(cell, top1.get(cell.what, 0.5) + noise)
            files.write_json(place.file(cell), row)
        return tmp_path / "w", settings

    return made


def first(name):
    module = importlib.import_module(f"ifnas_jax.experiments.{name}")
    return getattr(module, "FIRST_SEED", 0)


def show(name, scale, workdir):
    flags = [name, f"--scale={scale}", f"--workdir={workdir}", "--show"]
    assert command.main([*flags, f"--seeds={SEEDS}"]) == 0
    results = workdir / "results"
    return results, (results / f"{name}.md").read_text("utf-8")


@pytest.mark.parametrize("scale", ["proxy", "paper"])
@pytest.mark.parametrize("name", command.NAMES)
def test_an_experiment_shows_all_of_its_cells(name, scale, made, capsys):
    workdir, settings = made(name, scale)
    results, page = show(name, scale, workdir)
    printed = capsys.readouterr().out
    assert "NOT RUN" not in page
    for own in settings:
        # Of ranking, figures 4 to 6 and claims labels are said in other words.
        assert own.label in page or name in ("claims", "larger", "ranking")
    assert ("From the paper, not run here." in page) == name.startswith("table")
    told = files.read_json(results / f"{name}.json")
    assert len(told["cells"]) == len(list((workdir / "cells").iterdir()))
    for number, table in enumerate(told["tables"], start=1):
        text = (results / f"{name}-{number}.csv").read_text("utf-8")
        header, *rows = csv.reader(text.splitlines())
        assert (header, rows) == (table["header"], table["rows"])
        assert {len(row) for row in rows} == {len(header)}
        assert table["title"] in printed
    assert (results / f"{name}.tex").read_text("utf-8").count("begin{tabular}") == len(
        told["tables"]
    )
    figures = sorted(path.name for path in results.glob("*.svg"))
    # Gates over time are those of a run's folder, which is not there.
    assert bool(figures) == (name not in ("table1", "figure6"))
    assert all(figure.startswith(name) for figure in figures)


def test_a_part_of_the_claims_is_shown(tmp_path):
    """Also one that leaves out what all the others are compared with."""
    flags = ["claims", f"--workdir={tmp_path}", "--show", "--only=all added"]
    assert command.main(flags) == 0


def test_claims_follow_from_their_cells(made):
    """Networks at the target are better than those with one input a node."""
    workdir, _ = made("claims", "proxy", target=0.7, keep1=0.3)
    results, page = show("claims", "proxy", workdir)
    told = {
        own["title"]: own for own in files.read_json(results / "claims.json")["tables"]
    }
    rows = {row[0]: row for row in told["The claims"]["rows"]}
    # Three seeds against three can't be under 5 %.
    assert {row[-1].partition(";")[0] for row in rows.values()} == {
        "not resolvable here"
    }
    networks = {row[0]: row for row in told["What was found, stand-alone"]["rows"]}
    assert networks["IF-NAS, target"][2].startswith("70.10 ±")
    assert networks["IF-NAS, keep1"][2].startswith("30.10 ±")
    assert networks["random, keep1"][2].startswith("50.10 ±")
    chance = next(r for r in told["What the gates choose"]["rows"] if r[0] == "chance")
    # Of a node with 2, 3, 4, 4, 4 candidates each: (1/2 + 1/3 + 3/4) / 5.
    assert float(chance[5]) == pytest.approx(100 * (1 / 2 + 1 / 3 + 3 / 4) / 5, abs=2)
    assert "data: cifar10; scale: proxy; seeds: 0, 1, 2" in page


def test_gates_that_go_on_changing_are_a_caveat(made):
    workdir, settings = made("claims", "proxy")
    place = Place(str(workdir))
    for cell in every_cell(settings[:1], range(SEEDS)):
        if cell.what == SEARCH:
            row = place.read(cell) | {"agreement": [0.1, 0.5, 0.6, 0.7]}
            files.write_json(place.file(cell), row)
    _, page = show("claims", "proxy", workdir)
    assert f"gates of {claims.IF} not settled" in page


def test_table_1_is_that_of_the_issue():
    """FACTS: sizes as the paper counts them, and as they are."""
    ours, theirs = table1.tables(None)
    found = {row[0]: row[1:] for row in ours.rows}
    assert found["4-chain"] == ["206", "2.9e123", "1.8e116"]
    assert found["6-chain"] == ["291", "5.1e174", "7.5e163"]
    assert found["8-chain"] == ["364", "4.6e218", "1.6e204"]
    assert [own[-1] for own in found.values()] == theirs.rows[0]


def test_a_failure_is_told_and_what_it_blocks_is_left_out(tmp_path, capsys):
    base = base_of("proxy")
    setting = claims.settings(base)[0]
    place = Place(str(tmp_path))
    searched, kept, _ = every_cell([setting], [0])
    (tmp_path / "cells").mkdir()
    row = made_up(searched, 0.5) | {"failed": "the loss is not finite."}
    files.write_json(place.file(searched), row)
    assert cells.is_blocked(kept, place)
    sweep.run_here([[searched, kept]], place)
    assert "left out, its search failed" in capsys.readouterr().out
    assert place.read(kept) is None
