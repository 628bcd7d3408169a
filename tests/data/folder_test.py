"""Folders of images as data sets."""

import io
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from ifnas_jax.data.prepare import prepared_builder
from ifnas_jax.data.source import open_dataset
from ifnas_jax.errors import InputError

SIZES = {"train": {"b": 6, "a": 4}, "test": {"a": 2, "b": 1}}


def draw(root):
    """Writes images of some formats and shapes, the same each time."""
    rng = np.random.default_rng(0)
    for part, classes in SIZES.items():
        for name, count in sorted(classes.items()):
            folder = root / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                height, width = rng.integers(5, 30, 2)
                pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
                image = Image.fromarray(pixels[..., 0] if index == 1 else pixels)
                image.save(folder / f"{index}.{('png', 'jpg', 'webp')[index % 3]}")
            (folder / ".hidden").touch()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that is prepared; nobody may write to it."""
    path = tmp_path_factory.mktemp("folder")
    draw(path)
    prepared_builder("folder", str(path))
    return path


@pytest.fixture
def open_folder(make_config):
    def open_folder(path):
        return open_dataset(make_config(path, name="folder", channels=3))

    return open_folder


def pixels(image):
    return image["image"].shape, image["image"].tobytes()


def test_every_image_has_its_pixels_and_its_class(folder, open_folder):
    dataset = open_folder(folder)
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


def test_prepared_images_can_go_and_others_are_refused(folder, open_folder, tmp_path):
    shutil.copytree(folder / "folder", tmp_path / "folder")
    assert open_folder(tmp_path).contents == open_folder(folder).contents
    draw(tmp_path)
    open_folder(tmp_path)
    more = tmp_path / "test" / "a" / "more.png"
    Image.new("RGB", (8, 8)).save(more)
    with pytest.raises(InputError, match=r"test has 4 images.*but 3 .*delete that"):
        open_folder(tmp_path)
    more.unlink()
    for part in SIZES:
        (tmp_path / part / "a").rename(tmp_path / part / "c")
    with pytest.raises(InputError, match="or of others, are prepared"):
        open_folder(tmp_path)


def rename_class(root):
    (root / "test" / "a").rename(root / "test" / "c")


def empty_class(root):
    for part in SIZES:
        (root / part / "none").mkdir()


def write_text(root):
    (root / "train" / "a" / "notes.txt").touch()


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
        (write_text, "notes.txt is no image"),
        (rename_classes(" a "), "train/ a ' can't name a class; rename it to one line"),
        (rename_classes("a\nc"), r"a\\nc' can't name a class"),
        (rename_classes(os.fsdecode(b"\xe9")), r"\\udce9' can't name a class"),
        (name_in_latin, r"x\\udce9.png' is not UTF-8"),
        (lambda root: (root / "test/a/sub.jpg").mkdir(), "sub.jpg is a folder, or"),
        (
            lambda root: (root / "test/a/link.jpg").symlink_to("gone"),
            "link.jpg is a folder, or a link to nothing; remove it",
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
