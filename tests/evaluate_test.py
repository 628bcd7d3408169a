"""A finished run's network, tested again and shown images."""

import csv
import shutil

import numpy as np
import pytest
from documented import blocks
from PIL import Image

import ifnas_jax
from ifnas_jax import config as config_lib
from ifnas_jax import evaluate, files
from ifnas_jax.data.source import open_dataset
from ifnas_jax.retraining.trained import load_found


@pytest.fixture(scope="module")
def photos(digits_dir, tmp_path_factory):
    """A folder of 70 digits, each in the folder of its class, and their labels."""
    config = config_lib.default("mnist5k")
    config.dataset.data_dir = str(digits_dir)
    part = open_dataset(config.dataset, prepare=False).test
    folder, labels = tmp_path_factory.mktemp("photos"), {}
    for index in range(70):
        example = part[index]
        path = folder / str(example["label"]) / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(example["image"][..., 0]).save(path)
        labels[f"{example['label']}/{index}.png"] = str(example["label"])
    return folder, labels


def run(capsys, *argv):
    code = evaluate.main(list(map(str, argv)))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_test_part_has_the_runs_accuracy(finished, capsys):
    code, out, _ = run(capsys, f"--workdir={finished[0]}")
    assert code == 0
    result = files.read_json(finished[0] / "result.json")
    assert f"top-1  {100 * result['top1']:.2f} %" in out
    assert "250 images of mnist5k, test" in out


def test_another_part_is_tested(finished, capsys):
    """By predictions of each of its images."""
    code, out, _ = run(capsys, f"--workdir={finished[0]}", "--part=valid")
    assert code == 0
    assert "100 images of mnist5k, valid" in out
    config = load_found(finished[0]).config
    part = open_dataset(config.dataset, prepare=False).valid
    examples = [part[index] for index in range(len(part))]
    seen = ifnas_jax.predict(finished[0], [x["image"] for x in examples], top=1)
    right = [own.labels[0] == x["label"] for own, x in zip(seen, examples, strict=True)]
    assert f"top-1  {100 * np.mean(right):.2f} %" in out


def test_names_of_classes_are_the_runs(finished, photos, tmp_path, capsys):
    """Other names than numbers, and one of its own for each label."""
    workdir = tmp_path / "named"
    shutil.copytree(finished[0], workdir, ignore=shutil.ignore_patterns("compiled"))
    config = files.read_json(workdir / "config.json")
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven"]
    config["dataset"]["labels"] = [*names, "eight", "nine"]
    files.write_json(workdir / "config.json", config)
    path = next(iter(photos[1]))
    ours = ifnas_jax.predict(workdir, [photos[0] / path])[0]
    theirs = ifnas_jax.predict(finished[0], [photos[0] / path])[0]
    assert ours.classes == tuple([*names, "eight", "nine"][x] for x in theirs.labels)
    # Another set has other classes, in whatever order.
    code, _, error = run(capsys, f"--workdir={workdir}")
    assert code == 2
    assert "--dataset 'mnist5k' has other classes than the run's" in error


def test_images_are_told_with_the_names_of_classes(finished, photos, tmp_path, capsys):
    folder, labels = photos
    table, text = tmp_path / "seen.csv", tmp_path / "seen.json"
    flags = [f"--images={folder}", f"--csv={table}", f"--json={text}", "--top=3"]
    code, out, _ = run(capsys, f"--workdir={finished[0]}", *flags)
    assert code == 0
    rows = files.read_json(text)
    assert {row["image"] for row in rows} == set(labels)
    right = np.mean([row["class"] == labels[row["image"]] for row in rows])
    assert f"top-1 by the names of folders: {100 * right:.2f} % of 70" in out
    assert "... and 50 more" in out
    header, *told = csv.reader(table.read_text().splitlines())
    assert header == ["image", "class1", "p1", "class2", "p2", "class3", "p3"]
    assert [row[:2] for row in told] == [[row["image"], row["class"]] for row in rows]
    # The library says the same, of files and of pixels.
    paths = [str(folder / row["image"]) for row in rows[:3]]
    pixels = [np.array(Image.open(path)) for path in paths]
    for found in (
        ifnas_jax.predict(finished[0], paths, top=3),
        ifnas_jax.predict(finished[0], pixels, top=3),
    ):
        assert [own.classes[0] for own in found] == [row["class"] for row in rows[:3]]
        for own, row in zip(found, rows, strict=False):
            assert dict(zip(own.classes, own.probabilities, strict=True)) == (
                pytest.approx(row["classes"], abs=1e-4)
            )
            assert own.labels == tuple(map(int, own.classes))
    every = ifnas_jax.predict(finished[0], paths[:1], top=99)[0]
    assert sum(every.probabilities) == pytest.approx(1, abs=1e-5)


def test_what_cannot_be_evaluated_is_refused(finished, photos, tmp_path, capsys):
    workdir, (folder, _) = f"--workdir={finished[0]}", photos
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.png").write_bytes(b"no image")
    (tmp_path / "empty").mkdir()
    for argv, words in (
        ([f"--workdir={tmp_path}"], "is no run"),
        ([workdir, f"--images={tmp_path / 'empty'}"], "has no images"),
        ([workdir, f"--images={broken}"], "a.png' cannot be decoded"),
        ([workdir, "--csv=a.csv"], "name a folder of them with --images"),
        ([workdir, f"--images={folder}", "--part=train"], "leave one of them out"),
        ([workdir, f"--images={folder}", "--top=0"], "--top is 0"),
    ):
        code, _, error = run(capsys, *argv)
        assert code == 2
        assert words in error
        assert error.startswith("evaluate: ")
        assert error.count("\n") == 1
    wrong = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ifnas_jax.InputError, match=r"takes uint8 \[H, W, 1\]"):
        ifnas_jax.predict(finished[0], [wrong])


def test_the_pages_example_predicts(finished, photos, tmp_path, monkeypatch, capsys):
    folder, labels = photos
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "first").symlink_to(finished[0])
    for name, image in zip("ab", labels, strict=False):
        shutil.copy(folder / image, tmp_path / f"{name}.png")
    (_, code), *_ = blocks("docs/using.md", "python")
    exec(compile(code, "example", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 2
