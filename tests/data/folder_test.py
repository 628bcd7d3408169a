"""Folders of images as data sets."""

import io
import os
import shutil

import numpy as np
import pytest
from PIL import Image
from small_folders import SIZES, draw

from ifnas_jax.data import prepare
from ifnas_jax.data.builder import prepared_builder
from ifnas_jax.data.source import open_dataset
from ifnas_jax.errors import InputError


def pixels(image):
    return image["image"].shape, image["image"].tobytes()


def test_every_image_has_its_pixels_and_its_class(folder, open_folder):
    dataset = open_folder(folder, crop="resized")  # A padded crop has them resized.
    assert (dataset.num_classes, len(dataset.test)) == (2, 3)
    for parts, split in (
        ((dataset.train, dataset.valid), "train"),
        ((dataset.test,), "test"),
    ):
        found = [(example["label"], pixels(example)) for p in parts for example in p]
        expected = []
        for label, name in enumerate(("a", "b")):
            for path in (folder / split / name).glob("[0-9]*"):
                with Image.open(path) as image:
                    array = np.asarray(image.convert("RGB"))
                expected.append((label, pixels({"image": array})))
        assert sorted(found) == sorted(expected)


def test_the_order_depends_on_the_names_alone(folder, open_folder, tmp_path):
    draw(tmp_path)
    here, there = open_folder(tmp_path), open_folder(folder)
    assert here.contents == there.contents
    for part in ("train", "test"):
        ours, theirs = ([*map(pixels, getattr(d, part))] for d in (here, there))
        assert ours == theirs


def rename_class(root):
    (root / "test" / "a").rename(root / "test" / "c")


def empty_class(root):
    for part in SIZES:
        (root / part / "none").mkdir()


def write_texts(root):
    for name in ("notes.txt", "x.tiff", "y", "z.jpg.part"):
        (root / "train" / "a" / name).touch()


def spell_twice(root):
    for name in ("Z\u00e9bu", "Ze\u0301bu"):
        folder = root / "train" / name
        folder.mkdir()
        Image.new("RGB", (8, 8)).save(folder / "0.png")


def rename_classes(name):
    """A function: gives class a this name in both parts."""

    def rename(root):
        for part in SIZES:
            (root / part / "a").rename(root / part / name)

    return rename


def name_in_latin(root):
    path = os.fsencode(root / "test" / "a" / "x")
    os.rename(os.fsencode(root / "test" / "a" / "0.png"), path + b"\xe9.png")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: shutil.rmtree(root / "train"), "there is no folder .*train"),
        (lambda root: shutil.rmtree(root / "test"), "there is no folder .*test"),
        (lambda root: shutil.rmtree(root / "train" / "a"), "train has 1 folders"),
        (rename_class, "class 'a' is in .*train, but not in .*test"),
        (empty_class, "none has no images"),
        (
            write_texts,
            r"no image.*/notes.txt, .*/x.tiff, .*/y and 1 more;",
        ),
        (spell_twice, r"spelled 'Ze\\u0301bu' and 'Z\\xe9bu'; put the images of both"),
        (
            lambda root: shutil.copy(root / "test/a/0.png", root / "train/x.png"),
            "beside the folders of classes: .*train/x.png; move each into",
        ),
        (rename_classes(" a "), "train/ a ' can't name a class; rename it to one line"),
        (rename_classes("a\nc"), r"a\\nc' can't name a class"),
        (rename_classes(os.fsdecode(b"\xe9")), r"\\udce9' can't name a class"),
        (name_in_latin, r"is not UTF-8: '.*x\\udce9.png'; rename it"),
        (
            lambda root: (root / "test/a/sub.jpg").mkdir(),
            "a folder lies among the images of a class: .*a/sub.jpg; move its images",
        ),
        (
            lambda root: (root / "test/a/link.jpg").symlink_to("gone"),
            "what is no file, such as a link to nothing, .*a/link.jpg; mend or",
        ),
        (
            lambda root: (root / "test" / "c").symlink_to("gone"),
            "such as a link to nothing, lies there: .*test/c; mend or remove it",
        ),
    ],
)
def test_a_folder_that_is_no_data_set_is_refused(spoil, message, open_folder, tmp_path):
    draw(tmp_path)
    spoil(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=message):
        open_folder(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_systems_leave_behind_and_spellings_of_classes_do_not_matter(
    folder, open_folder, tmp_path
):
    draw(tmp_path)
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "Icon\r", "._0.png"):
        for place in ("", "train", "train/a", "test/b"):
            (tmp_path / place / name).write_bytes(b"\1")
    for name in ("@eaDir", "__MACOSX", "$RECYCLE.BIN", ".Trashes", "lost+found"):
        for place in ("train", "test/b"):
            (tmp_path / place / name / "a").mkdir(parents=True)
            shutil.copy(tmp_path / "test/a/0.png", tmp_path / place / name)
    (tmp_path / "train" / "labels.csv").touch()
    assert open_folder(tmp_path).contents == open_folder(folder).contents


def test_images_beside_the_two_parts_are_said(tmp_path, open_folder, capsys):
    draw(tmp_path)
    for name in ("val/a", "Train/a", "notes/deep/er"):
        (tmp_path / name).mkdir(parents=True)
    image = next((tmp_path / "train" / "a").iterdir())
    for name in ("val/a/1.png", "Train/a/1.png", "stray.png", "notes/deep/er/1.png"):
        shutil.copy(image, tmp_path / name)
    (tmp_path / "notes.txt").write_text("none")
    open_folder(tmp_path)
    said = "has images that are not read: Train, stray.png, val.\n"
    assert said in capsys.readouterr().out
    open_folder(tmp_path)
    assert "not read" not in capsys.readouterr().out


def test_a_class_is_one_however_its_accents_are_written(open_folder, tmp_path):
    draw(tmp_path)
    for part, name in (("train", "ze\u0301bu"), ("test", "z\u00e9bu")):
        (tmp_path / part / "a").rename(tmp_path / part / name)
    dataset = open_folder(tmp_path)
    assert [example["label"] for example in dataset.test].count(1) == SIZES["test"]["a"]
    builder = prepared_builder("folder", str(tmp_path))
    assert builder.info.features["label"].names == ["b", "z\u00e9bu"]


def test_home_and_what_is_no_folder(make_config, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    draw(tmp_path / "photos")
    config = make_config("~/photos", name="folder", channels=3)
    assert len(open_dataset(config).test) == 3
    assert config.data_dir == "~/photos"
    assert prepare.main(["--dataset=folder", "--data_dir=~/photos"]) == 0
    for name in ("folder", "mnist5k"):
        config = make_config("s3://photos", name=name, channels=3)
        with pytest.raises(
            InputError, match=r"dataset\.data_dir is 's3://photos', but"
        ):
            open_dataset(config)
    assert not os.path.exists("s3:")


def png_of(pixels):
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello", r"\(PIL knows no such format\); repair or remove it\.$"),
        (b"", r"\(PIL knows no such format\)"),
        (png_of(np.zeros((9, 9, 3), np.uint8))[:-30], "can't be read as an image"),
        (png_of(np.full((9, 9), 300, np.uint16)), "more than 8 bits"),
    ],
    ids=["text", "empty", "cut", "deep"],
)
def test_what_can_not_be_decoded_is_named_and_nothing_prepared(
    content, message, open_folder, tmp_path
):
    draw(tmp_path)
    path = tmp_path / "test" / "a" / "more.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        open_folder(tmp_path)
    assert str(error.value).startswith(f"dataset.data_dir: {path} ")
    path.unlink()
    assert len(open_folder(tmp_path).test) == 3


def test_a_folder_has_to_be_named(open_folder):
    with pytest.raises(InputError, match=r"dataset\.data_dir is empty"):
        open_folder("")
