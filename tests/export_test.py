"""The export of a real run, used as its readers will."""

import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from importlib import metadata

import jax
import numpy as np
import pytest
from documented import follow
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image

from ifnas_jax import architecture, export, files, training
from ifnas_jax.data.decode import decode
from ifnas_jax.spaces import lchain

ROOT = pathlib.Path(__file__).parents[1]

BLOCK = (
    "import sys, runpy; sys.modules.update(dict.fromkeys(sys.argv[1].split()));"
    "del sys.argv[:2]; runpy.run_path(sys.argv[0], run_name='__main__')"
)


def closure(*packages):
    """Packages, what they say they require, and so on."""
    found, new = set(), set(packages)
    while new:
        found |= new
        new = {name for package in new for name in required(package)} - found
    return found


def required(package):
    try:
        lines = metadata.requires(package) or ()
    except metadata.PackageNotFoundError:
        return set()
    return {
        canonicalize_name(one.name)
        for one in map(Requirement, lines)
        if one.marker is None or one.marker.evaluate({"extra": ""})
    }


def run_alone(packages, path, *arguments):
    """What a program prints where these packages, and what they require, are alone."""
    allowed = closure(*packages)
    blocked = [
        name
        for name, owners in metadata.packages_distributions().items()
        if not allowed & {canonicalize_name(owner) for owner in owners}
    ]
    assert {"flax", "ml_collections"} <= set(blocked)
    names = " ".join(["ifnas_jax", *blocked])
    command = [sys.executable, "-W", "error", "-c", BLOCK, names, str(path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tree_of(folder):
    """Every file below a folder, with its size and time."""
    return {
        path: (path.stat().st_size, path.stat().st_mtime_ns)
        for path in pathlib.Path(folder).rglob("*")
    }


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """The folder exported from a run that retrained, which is left as it was."""
    workdir, _ = finished
    before = tree_of(workdir)
    out = tmp_path_factory.mktemp("export") / "parent" / "exported"
    assert export.main([f"--workdir={workdir}", f"--out={out}"]) == 0
    assert tree_of(workdir) == before
    assert os.listdir(out.parent) == ["exported"]
    return out


@pytest.fixture(scope="module")
def digits(digits_dir):
    """Values from 0 to 1 of the digits that the run was tested on, and their labels."""
    from ifnas_jax import config as config_lib
    from ifnas_jax.data.source import open_dataset

    config = config_lib.default("mnist5k")
    config.dataset.data_dir = str(digits_dir)
    part = open_dataset(config.dataset, prepare=False).test
    examples = [part[index] for index in range(len(part))]
    images = np.stack([example["image"] for example in examples])
    labels = np.array([example["label"] for example in examples])
    return (images / 255).astype(np.float32), labels


@pytest.fixture(scope="module")
def stablehlo_classes(exported, digits, tmp_path_factory):
    """Of each digit, by the example that is exported."""
    path = tmp_path_factory.mktemp("images") / "images.npy"
    np.save(path, digits[0])
    program = exported / "load_stablehlo.py"
    output = run_alone(("jax", "flatbuffers"), program, str(path))
    return np.array(output.split(), int)


def test_what_is_exported(exported, finished):
    workdir, _ = finished
    names = {path.name for path in exported.iterdir()}
    assert names == {
        *("README.md", "architecture.json", "load_stablehlo.py", "meta.json"),
        *("network.jax_export", "network.py", "weights.safetensors"),
    }
    found = (workdir / "search" / "architecture.json").read_bytes()
    assert (exported / "architecture.json").read_bytes() == found
    meta = files.read_json(exported / "meta.json")
    result = files.read_json(workdir / "result.json")
    for key in ("top1", "madds", "params", "depth"):
        assert meta[key] == result[key]
    assert (meta["mean"], meta["std"]) == ([0.5], [0.5])
    assert (meta["image_size"], meta["shorter_side"]) == (28, None)
    assert meta["top1_dtype"] == "float32"
    readme = (exported / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\S+)`", readme, re.MULTILINE)) == names - {
        "README.md"
    }
    assert meta["classes"] == [str(digit) for digit in range(10)]
    assert "the i-th class in `classes` of `meta.json`" in readme
    assert "EXIF's orientation was not applied" in readme
    # Nothing of the machine or the folder that it was made in.
    content = (exported / "network.jax_export").read_bytes()
    assert not re.search(rb"\.py\b", content)


def test_the_readme_opens_an_image_as_the_run_did(exported, tmp_path):
    readme = (exported / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    pixels = np.random.default_rng(0).integers(0, 256, (9, 8, 4), np.uint8)
    path = tmp_path / "drawing.png"
    for mode in ("RGBA", "LA", "RGB", "L"):
        Image.fromarray(pixels).convert(mode).save(path)
        names = {"Image": Image, "path": path}
        exec(code, names)
        expected = decode(path.read_bytes(), channels=1)[..., 0]
        assert np.array_equal(np.asarray(names["image"]), expected)


def test_stablehlo_is_as_accurate_as_the_run_where_little_else_is(
    stablehlo_classes, digits, finished
):
    top1 = files.read_json(finished[0] / "result.json")["top1"]
    assert (stablehlo_classes == digits[1]).mean() == pytest.approx(top1)


def test_stablehlo_is_for_each_platform_and_batch_size(exported):
    from jax import export as jax_export

    content = (exported / "network.jax_export").read_bytes()
    network = jax_export.deserialize(content)
    assert network.platforms == ("cpu", "cuda", "tpu")
    # The CPU's form of a depthwise convolution, and the one of other platforms.
    text = network.mlir_module()
    assert re.search(r"feature_group_count = [2-9]", text)
    assert "stablehlo.case" in text
    images = np.random.default_rng(0).random((3, 28, 28, 1)).astype(np.float32)
    call = jax.jit(network.call)
    np.testing.assert_allclose(call(images)[:1], call(images[:1]), rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="Shape"):
        call(images[:, :27])


def test_the_same_run_gives_the_same_bytes(exported, finished, tmp_path):
    out = str(tmp_path / "again")
    assert export.main([f"--workdir={finished[0]}", f"--out={out}"]) == 0
    for path in exported.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_torch_is_as_accurate_alone(exported, digits, stablehlo_classes, tmp_path):
    pytest.importorskip("torch")
    np.save(tmp_path / "images.npy", digits[0])
    program = tmp_path / "classify.py"
    program.write_text(
        f"""
import sys; sys.path.insert(0, {str(exported)!r})
import numpy as np, torch
from network import MEAN, STD, make_network
from safetensors.torch import load_file

network = make_network()
network.load_state_dict(load_file({str(exported / "weights.safetensors")!r}))
images = torch.tensor(np.load(sys.argv[1]).transpose(0, 3, 1, 2).copy())
images = (images - torch.tensor(MEAN)) / torch.tensor(STD)
print(*network.eval()(images).argmax(dim=1).tolist())
"""
    )
    packages = "torch", "safetensors", "numpy"
    classes = run_alone(packages, program, str(tmp_path / "images.npy")).split()
    # Up to rounding, which may decide between two classes.
    assert (np.array(classes, int) == stablehlo_classes).mean() > 0.99


def test_onnx(finished, digits, stablehlo_classes, tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    onnx = pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    out = tmp_path / "exported"
    # In a process whose warnings are no errors: PyTorch's exporter has some.
    command = [sys.executable, "-m", "ifnas_jax.export", f"--workdir={finished[0]}"]
    subprocess.run([*command, f"--out={out}", "--format=onnx"], check=True)
    assert not re.search(rb"\.py\b", (out / "network.onnx").read_bytes())
    onnx.checker.check_model(str(out / "network.onnx"), full_check=True)
    model = onnx.load(str(out / "network.onnx"))
    told = {own.key: json.loads(own.value) for own in model.metadata_props}
    assert told["classes"] == [str(digit) for digit in range(10)]
    assert (told["image_size"], told["mean"], told["std"]) == (28, [0.5], [0.5])
    session = onnxruntime.InferenceSession(
        str(out / "network.onnx"), providers=["CPUExecutionProvider"]
    )
    images = digits[0].transpose(0, 3, 1, 2)
    (logits,) = session.run(["logits"], {"images": images})
    assert (logits.argmax(axis=1) == stablehlo_classes).mean() > 0.99
    (first,) = session.run(["logits"], {"images": images[:1]})
    np.testing.assert_allclose(first, logits[:1], rtol=1e-4, atol=1e-4)


def copy_of(workdir, path, *without):
    """A run some of whose files are gone."""
    shutil.copytree(workdir, path, ignore=shutil.ignore_patterns("compiled"))
    for name in without:
        target = path / name
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    return path


def test_an_architecture_without_weights_needs_only_a_search(finished, tmp_path):
    workdir = copy_of(finished[0], tmp_path / "run", "retrain", "result.json")
    out = tmp_path / "exported"
    arguments = f"--workdir={workdir}", f"--out={out}", "--weights=none"
    assert export.main(arguments) == 0
    names = {"README.md", "architecture.json", "meta.json", "network.py"}
    assert {path.name for path in out.iterdir()} == names
    assert architecture.load(out / "architecture.json").cost().madds > 0
    meta = json.loads((out / "meta.json").read_text())
    assert (meta["top1"], meta["top1_dtype"]) == (None, None)


def test_an_operator_of_ones_own_goes_without_pytorch(
    finished, tmp_path, monkeypatch, capsys
):
    own = "my_operators:sep_conv_5x5"
    workdir = copy_of(finished[0], tmp_path / "run", "retrain")
    follow("docs/own_operator.md", tmp_path, monkeypatch)
    path = workdir / "search" / "architecture.json"
    space = lchain(1, (1, 1, 1), operators=(own,))
    macro = architecture.load(path).macro
    architecture.from_kept(space, space.full(), macro).save(path)
    arguments = f"--workdir={workdir}", f"--out={tmp_path}/out", "--weights=none"
    assert export.main(arguments) == 0
    assert f"No network.py: PyTorch has no counterpart of {own!r}." in (
        capsys.readouterr().out
    )
    names = {"README.md", "architecture.json", "meta.json"}
    assert set(os.listdir(tmp_path / "out")) == names
    assert f"`{own}` has no counterpart" in (tmp_path / "out/README.md").read_text()


def test_a_trained_one_goes_without_pytorch_where_nobody_asks_for_it(
    finished, tmp_path, monkeypatch, capsys
):
    """What a finished run names as the next command is not refused."""
    monkeypatch.setattr(
        export.torch_source, "without_counterpart", lambda found: ["my:own"]
    )
    arguments = [f"--workdir={finished[0]}", f"--out={tmp_path}/out"]
    assert export.main(arguments) == 0
    assert "No network.py: PyTorch has no counterpart of 'my:own'." in (
        capsys.readouterr().out
    )
    assert "network.jax_export" in os.listdir(tmp_path / "out")
    assert "network.py" not in os.listdir(tmp_path / "out")


BAD = {
    "no run": (["search", "config.json"], [], "is no run: it has no config.json"),
    "searching": (["search/architecture.json"], [], "its search is not done"),
    "no checkpoint": (["retrain/checkpoints"], [], "cannot be read"),
    "weights": ([], ["--weights=none", "--format=stablehlo"], "holds the weights"),
    "format": ([], ["--format=stablehlo,keras"], "--format is 'stablehlo,keras'"),
    "onnx": ([], ["--format=onnx"], "onnx needs the packages torch, onnx, onnxscript"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_nothing_is_written(
    case, finished, tmp_path, capsys, monkeypatch
):
    without, arguments, words = BAD[case]
    workdir = copy_of(finished[0], tmp_path / "run", *without)
    if case == "onnx":
        monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    assert_refused(
        capsys, [f"--workdir={workdir}", f"--out={tmp_path}/out", *arguments], words
    )
    assert os.listdir(tmp_path) == ["run"]


def assert_refused(capsys, arguments, words):
    assert export.main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.startswith("export: ") and error.endswith(".\n")
    assert error.count("\n") == 1


def test_what_exists_is_left_alone(finished, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("nothing")
    for out in (".", "link", tmp_path):
        assert_refused(
            capsys, [f"--workdir={finished[0]}", f"--out={out}"], "exists; name"
        )
    assert os.listdir(tmp_path) == ["link"]


@pytest.mark.parametrize(
    ("jobs", "mend"),
    [
        (["search", "retrain"], "command until it is, or"),
        (["search"], "command with --config.jobs=\"('search', 'retrain')\", or"),
    ],
)
def test_what_an_untrained_run_needs(jobs, mend, finished, tmp_path, capsys):
    workdir = copy_of(finished[0], tmp_path / "run", "retrain")
    config = files.read_json(workdir / "config.json")
    files.write_json(workdir / "config.json", {**config, "jobs": jobs})
    assert_refused(capsys, [f"--workdir={workdir}", f"--out={tmp_path}/out"], mend)


def test_weights_of_another_architecture_are_refused(finished, tmp_path, capsys):
    workdir = copy_of(finished[0], tmp_path / "run")
    path = workdir / "search" / "architecture.json"
    architecture.load(path).with_macro(width=8).save(path)
    assert_refused(
        capsys, [f"--workdir={workdir}", f"--out={tmp_path}/out"], "is not the one"
    )


def test_what_the_docs_show_runs(exported, finished, tmp_path, monkeypatch, capsys):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "first").symlink_to(finished[0])
    (tmp_path / "exported").symlink_to(exported)
    monkeypatch.chdir(tmp_path)
    # What the page adds goes again.
    monkeypatch.setattr(sys, "path", [*sys.path])
    # What counts is that it compiles soon.
    monkeypatch.setattr(jax, "jit", training.jit_once)
    cost = architecture.load(exported / "architecture.json").cost()
    text = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    if not importlib.util.find_spec("torch"):
        blocks = [code for code in blocks if "import torch" not in code]
    namespace = {}
    for code in blocks:
        exec(compile(code, "docs/export.md", "exec"), namespace)
    assert len(blocks) >= 3
    assert namespace["logits"].shape == (8, 10)
    assert f"{cost.madds} {cost.params}" in capsys.readouterr().out
