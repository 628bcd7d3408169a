"""What is run: the paper's configs field by field, and what decides a cell's name."""

import functools
import importlib
import pathlib
import re

import pytest
from documented import blocks

from ifnas_jax import config as config_lib
from ifnas_jax import files
from ifnas_jax.errors import InputError
from ifnas_jax.experiments import scales
from ifnas_jax.experiments.__main__ import NAMES
from ifnas_jax.experiments.settings import Setting, cells_of

ROOT = pathlib.Path(__file__).parents[2]
PAPER = functools.partial(scales.base, "paper", "", "", ())
PROXY = functools.partial(scales.base, "proxy", "", "", ())
GPU = functools.partial(scales.base, "gpu", "", "", ())

# FACTS, sections 1, 4, 5 and 7: of every run on ImageNet.
FACTS = {
    "space.operators": ("sep_conv_3x3", "skip_connect"),
    "dataset.image_size": 224,
    "macro.stem": "imagenet",
    "target_madds": 600_000_000,
    "relaxation.node_scale": "unit",
    "relaxation.backbone": "constant",
    "search.batch_size": 256,
    "search.weights_epochs": 20,
    "search.beta_epochs": 10,
    "search.alpha_epochs": 5,
    "search.max_epochs": 100,
    "search.learning_rate": 0.1,
    "search.momentum": 0.9,
    "search.weight_decay": 3e-5,
    "search.clip": 5,
    "search.arch_learning_rate": 0.1,
    "search.arch_momentum": 0.9,
    "search.arch_weight_decay": 3e-5,
    "search.threshold": 0.01,
    "dataset.jitter": (0.4, 0.4, 0.4, 0.2),
    "retrain.batch_size": 1024,
    "retrain.learning_rate": 0.5,
    "retrain.momentum": 0.9,
    "retrain.weight_decay": 3e-5,
    "retrain.label_smoothing": 0.1,
    "retrain.auxiliary_weight": 0.4,
    "retrain.clip": 5,
    "retrain.warmup_epochs": 5,
    "retrain.final_epochs": 5,
}
CHAIN = {
    "space.name": "lchain",
    "space.nodes": (18, 20, 18),
    "macro.width": 64,
    "macro.search_width": 16,
    "sampling.period": 100,
}


def test_published_cells_are_of_todays_defaults():
    """If a default changes, so does what cells of one name are: then this fails.

    A field that came later, and changes nothing as it is, goes to `settings._SINCE`.
    """
    cells = pathlib.Path(__file__).parents[2] / "benchmarks" / "results" / "proxy"
    rows = [files.read_json(path) for path in cells.glob("*.json")]
    told = {row["defaults"] for row in rows if "defaults" in row}
    base = functools.partial(scales.base, "proxy", "folder", "", ())
    assert told == {_module("claims").settings(base)[0].defaults}


def test_a_default_that_changed_is_told():
    config = config_lib.default("folder")
    before = Setting("a", config).defaults
    mnist = config_lib.default("mnist5k")
    assert Setting("a", mnist).defaults != before


def labels(name, base=PAPER):
    return {own.label: own for own in _module(name).settings(base)}


def _module(name):
    return importlib.import_module(f"ifnas_jax.experiments.{name}")


def fields(setting):
    flat = config_lib.flatten(setting.config.to_dict())
    return {name: value for name, value in flat.items()}


def check(setting, **expected):
    own = fields(setting)
    wanted = {name.replace("__", "."): value for name, value in expected.items()}
    for name, value in {**FACTS, **wanted}.items():
        assert own[name] == value, name


@pytest.mark.parametrize("length", [4, 6, 8])
def test_tables_2_and_3_at_the_papers_scale(length):
    for label, method in (
        ("DARTS", "darts"),
        ("PC-DARTS", "pcdarts"),
        ("GOLD-NAS", "goldnas"),
        ("IF-NAS", "ifnas"),
    ):
        setting = labels("table2")[f"L = {length}, {label}"]
        own = {**CHAIN, "space.num_precursors": length}
        check(setting, method=method, retrain__epochs=250, **_kwargs(own))
        assert setting.config.dataset.name == "imagenet2012"
        assert setting.config.derive == "auto"
    for label in ("random", "DARTS", "GOLD-NAS", "IF-NAS"):
        setting = labels("table3")[f"L = {length}, {label}"]
        check(setting, derive="keep1", retrain__epochs=100, **_kwargs(own))


def test_tables_4_and_5_at_the_papers_scale():
    found = labels("table4")
    assert _module("table4").PAPER_SEEDS == 4
    for label, changes in (
        ("w/ IF", {"method": "ifnas", "sampling.groups": "modulo"}),
        ("w/o IF", {"method": "dnas"}),
        ("random groups", {"method": "ifnas", "sampling.groups": "random"}),
        ("update-matched", {"method": "ifnas", "sampling.groups": "matched"}),
    ):
        check(found[label], retrain__epochs=100, **_kwargs({**CHAIN, **changes}))
    for count in range(4):
        setting = labels("table5")[f"{count} interleaved"]
        own = {**CHAIN, "sampling.interleaved": count, "retrain.epochs": 100}
        check(setting, **_kwargs(own))
        assert setting.config.dataset.name == "imagenet100"
        assert setting.config.dataset.num_classes == 100
        assert setting.config.sampling.interleaved_learn


def test_cells_at_the_papers_scale():
    found = labels("table6")
    own = found["space_D, IF-NAS"].config
    assert (own.space.name, tuple(own.space.nodes)) == ("darts", (4,))
    assert (own.macro.search_cells, own.macro.cells) == (8, 14)
    assert (own.macro.width, own.retrain.epochs) == (48, 250)
    small, large = (found[f"space_G, IF-NAS-G{n}"].config for n in (1, 2))
    assert (small.space.name, small.macro.cells) == ("goldnas", 14)
    assert small.target_madds == 600_000_000 < large.target_madds


def test_one_node_has_the_papers_warm_up():
    for name in ("figure1", "figure8"):
        for setting in labels(name).values():
            own = setting.config
            assert own.search.weights_epochs == 20
            assert own.space.num_precursors == 6
            assert tuple(own.space.nodes) == (18, 20, 18)
    assert _module("figure8").PAPER_SEEDS == 4


@pytest.mark.parametrize("base", [PAPER, GPU, PROXY])
@pytest.mark.parametrize("name", NAMES)
def test_every_setting_of_every_experiment_is_valid_and_is_one_of_a_kind(name, base):
    """`base` validates; labels are in tables, names on the disk."""
    settings = _module(name).settings(base)
    assert len({own.label for own in settings}) == len(settings)
    assert len({own.name for own in settings}) == len(settings)


def test_a_name_is_of_what_decides_the_result():
    setting = Setting("a", PROXY())
    for change in ({"seed": 3}, {"tensorboard": True}, {"log_every": 7}):
        other = PROXY()
        other.update(change)
        assert Setting("b", other).name == setting.name
    assert Setting("a", PROXY(sampling__period=10)).name != setting.name
    assert Setting("a", PROXY(), variant="v").name != setting.name
    assert Setting("a", scales.base("proxy", "mnist5k")).name != setting.name


def test_a_flag_goes_before_what_a_setting_wants():
    own = scales.base(
        "proxy", "", "", ("--config.search.batch_size=32",), search__batch_size=8
    )
    assert own.search.batch_size == 32
    with pytest.raises(InputError, match=r"no field 'search\.batch'"):
        scales.base("proxy", "", "", ("--config.search.batch=1",))


def test_cells_of_a_setting_are_its_search_and_what_is_trained():
    searched = Setting("a", PROXY(), ("keep1", "target"), ("target",))
    assert [cell.what for cell in cells_of(searched, 0)] == ["search", "target"]
    drawn = Setting("b", PROXY(), architecture=lambda config: None)
    assert [cell.what for cell in cells_of(drawn, 0)] == ["found"]
    studied = Setting("c", PROXY(), study=lambda cell, place: {})
    assert [cell.what for cell in cells_of(studied, 0)] == ["study"]


def _kwargs(own):
    return {name.replace(".", "__"): value for name, value in own.items()}


def test_the_page_of_experiments_names_all_and_its_example_runs(
    tmp_path, monkeypatch, capsys
):
    page = (ROOT / "docs/experiments.md").read_text("utf-8")
    named = re.findall(
        r"`((?:table|figure)\d|[a-z]+)`",
        "\n".join(
            line.split("|")[1] for line in page.splitlines() if line.startswith("| `")
        ),
    )
    assert sorted(named) == sorted(NAMES)
    ((_, code),) = blocks("docs/experiments.md", "python")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "example", "exec"), {})
    assert capsys.readouterr().out == "24 units, 48 cells\n48 not run yet\n"
