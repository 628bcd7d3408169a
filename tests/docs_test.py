"""The examples of docs/own_*.md, run as they are shown, but for a shorter schedule."""

import json
import re
import sys

import numpy as np
import pytest
from documented import blocks, follow, module_flags
from PIL import Image
from tiny import TARGET

from ifnas_jax import architecture, files, inspect, main
from ifnas_jax.architecture import cost
from ifnas_jax.report.__main__ import main as report_main
from ifnas_jax.retraining.trained import load_found

OWN = "my_operators:sep_conv_5x5"


def run(page, fields, number=0):
    """Runs a command of a page in this process, with more fields set."""
    flags = module_flags(page, "ifnas_jax.main")[number]
    assert main.main([*flags, *fields]) == 0


@pytest.fixture
def tiny(tiny_flags):
    """A function: flags that make a run tiny, but for those of some fields."""

    def tiny(*without, **changes):
        short = {"search.max_epochs": 0.8, "search.valid_every": 0}
        flags = tiny_flags("", **short | changes)
        unwanted = tuple(f"--config.{name}" for name in without)
        flags = [flag for flag in flags if flag.startswith("--config.")]
        return [flag for flag in flags if not flag.startswith(unwanted)]

    return tiny


def test_an_operator_of_ones_own_from_search_to_test(
    tiny, tmp_path, monkeypatch, capsys
):
    page = "docs/own_operator.md"
    follow(page, tmp_path, monkeypatch)
    # Every node keeps one input with all operators.
    changes = {"retrain.epochs": 2, "retrain.final_epochs": 1}
    run(page, tiny(derive="keep1", **changes))
    workdir = tmp_path / "runs" / "own"
    found = architecture.load(workdir / "search" / "architecture.json")
    for stage in found.stages:
        for edge in stage.edges:
            assert edge.ops == ("sep_conv_3x3", "skip_connect", OWN)
    result = files.read_json(workdir / "result.json")
    assert 0.1 < result["top1"] <= 1
    # 5×5 in place of 3×3, twice, at 4 channels and 28 pixels and so on.
    own = [cost.operator_cost(OWN, size, width, 1) for size, width in SHAPES]
    plain = [cost.sep_conv_3x3(size, width, 1) for size, width in SHAPES]
    for (size, width), a, b in zip(SHAPES, own, plain, strict=True):
        assert a.params - b.params == 2 * (25 - 9) * width
        assert a.madds - b.madds == 2 * (25 - 9) * width * size * size
    assert result["params"] == found.cost().params
    capsys.readouterr()
    figure = tmp_path / "own.svg"
    file = f"--architecture={workdir / 'search' / 'architecture.json'}"
    assert inspect.main([file, "--json", f"--figure={figure}"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["ops"][OWN] == sum(len(stage.edges) for stage in found.stages)
    assert f"-{OWN}" in figure.read_text()


SHAPES = ((28, 4), (14, 8), (7, 16))


def test_a_method_of_ones_own_searches(tiny, tmp_path, monkeypatch):
    page = "docs/own_method.md"
    follow(page, tmp_path, monkeypatch)
    # What `ifnas` alone reads is refused.
    run(page, tiny("penalty", "search.arch", jobs="('search',)"))
    workdir = tmp_path / "runs" / "sparse"
    result = files.read_json(workdir / "result.json")
    assert (result["method"], result["target_met_by"]) == (
        "my_methods:sparse",
        "fallback",
    )
    assert result["madds"] <= result["target_madds"] == TARGET
    assert files.read_json(workdir / "config.json")["sparse"] == {"weight": 0.5}
    # What was found is read without the module.
    monkeypatch.delitem(sys.modules, "my_methods")
    (tmp_path / "my_methods.py").unlink()
    assert load_found(workdir).config.sparse.weight == 0.5
    assert report_main([f"--workdir={workdir}"]) == 0


# Only what the data set takes part in: the architecture is drawn.
DRAWN = [
    "--config.method=random",
    "--config.jobs=('search',)",
    "--config.search.valid_every=0",
]


def test_a_folder_and_a_builder_of_ones_own(tmp_path, monkeypatch):
    page = "docs/own_data.md"
    follow(page, tmp_path, monkeypatch)
    rng = np.random.default_rng(0)
    for part, count in (("train", 40), ("test", 4)):
        for name in ("cat", "dog"):
            folder = tmp_path / "photos" / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                image = Image.fromarray(rng.integers(0, 256, (20, 24, 3), np.uint8))
                image.save(folder / f"{index}.jpg")
    (_, small, stripes, large) = range(4)
    run(page, DRAWN, small)
    # ImageNet's recipe, on the same images.
    run(page, DRAWN, large)
    run(page, [*DRAWN, f"--config.dataset.data_dir={tmp_path / 'tfds'}"], stripes)
    configs = [
        files.read_json(tmp_path / "runs" / name / "config.json")["dataset"]
        for name in ("photos", "large", "stripes")
    ]
    assert [config["num_classes"] for config in configs] == [2, 2, 2]
    assert [config["image_size"] for config in configs] == [32, 224, 32]
    assert configs[0]["contents"] == configs[1]["contents"]
    assert configs[0]["contents"].startswith("folder/1.0.0: test 8, train 80, ")
    assert configs[2]["contents"].startswith("stripes/1.0.0: test 100, train 400, ")


def test_many_networks_side_by_side(digits_dir, capsys):
    ((_, text),) = blocks("docs/population.md", "python")
    for shown, shorter in (
        ("epochs = 4", f"epochs = 1\nfields.dataset.data_dir = {str(digits_dir)!r}"),
        ("range(8)", "range(2)"),
    ):
        assert text.count(shown) == 1
        text = text.replace(shown, shorter)
    exec(compile(text, "some_networks.py", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert re.fullmatch(r"[\d,]+ MAdds, depth \d+: \d+\.\d%", line)
