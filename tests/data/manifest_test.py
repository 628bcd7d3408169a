"""Images that were changed after they were prepared."""

import json
import os
import shutil

import buckets
import pytest
from small_folders import SIZES, draw

from ifnas_jax.data import manifest
from ifnas_jax.data.listing import list_images
from ifnas_jax.errors import InputError
from ifnas_jax.storage import read_bytes

PREPARED = "folder/1.0.0"


@pytest.fixture
def root(folder, tmp_path):
    """A folder whose images may be changed; they and their times are as prepared."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return tmp_path


def move(root):
    for index in range(4):
        name = f"{index}.{('png', 'jpg', 'webp')[index % 3]}"
        os.rename(root / "train/a" / name, root / "train/b" / f"a{name}")
    os.rename(root / "train/b/0.png", root / "train/a/0.png")


def move_as_they_are(root):
    for index in (4, 5):
        name = f"{index}.{('png', 'jpg', 'webp')[index % 3]}"
        os.rename(root / "train/b" / name, root / "train/a" / name)


def swap(root):
    one, other = root / "train/a/0.png", root / "train/b/0.png"
    os.rename(one, root / "x")
    os.rename(other, one)
    os.rename(root / "x", other)


def swap_of_one_size(root):
    """The bytes differ, and the times, but no size and no name."""
    path = root / "test/a/0.png"
    facts, data = path.stat(), bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))


def replace_all(root):
    for path in root.glob("t*/*/*.png"):
        path.write_bytes(path.read_bytes() + b"\0")


def rename_class(root):
    for part in SIZES:
        (root / part / "a").rename(root / part / "c")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            move,
            r"\(new: train/b/a0.png, train/b/a1.jpg, train/b/a2.webp and 1 more"
            r"; gone: train/a/1.jpg, .* and 1 more; "
            r"changed: train/a/0.png\); for a run that has begun put them back, .*"
            r"; for a new one delete .*/folder/1\.0\.0 to prepare",
        ),
        (
            move_as_they_are,
            r"\(moved: train/b/4.jpg to train/a/4.jpg, train/b/5.webp to train/a/5",
        ),
        (swap, r"\(changed: train/a/0.png, train/b/0.png\)"),
        (swap_of_one_size, r"\(changed: test/a/0.png\)"),
        (replace_all, r"\(changed: .* and 3 more\); for a run"),
        (rename_class, r"\(moved: test/a/0.png to test/c/0.png, "),
        (lambda root: os.remove(root / "test/a/0.png"), r"\(gone: test/a/0.png\)"),
        (
            lambda root: shutil.copy(root / "test/a/0.png", root / "test/a/x.png"),
            r"\(new: test/a/x.png\)",
        ),
        (
            lambda root: os.remove(root / PREPARED / manifest.NAME),
            "of which images .* was prepared is not known.*; delete .*/folder/1.0.0 to",
        ),
        (
            lambda root: os.truncate(root / PREPARED / manifest.NAME, 100),
            "ifnas_images.json is damaged; delete .*/folder/1.0.0 to prepare",
        ),
    ],
)
def test_other_images_than_were_prepared_are_refused(
    change, message, root, open_folder
):
    change(root)
    with pytest.raises(InputError, match=message) as refused:
        open_folder(root)
    assert str(refused.value).startswith("dataset.data_dir: ")
    shutil.rmtree(root / PREPARED)
    assert len(open_folder(root).test) > 0


def test_the_same_images_of_other_times_are_read_once(root, open_folder, capsys):
    before = open_folder(root)
    assert "Reading" not in capsys.readouterr().out
    for path in root.glob("t*/*/*.*"):
        os.utime(path)
    assert open_folder(root).contents == before.contents
    assert "Reading 13 images whose times are new." in capsys.readouterr().out
    open_folder(root)
    assert "Reading" not in capsys.readouterr().out


def test_what_was_prepared_stays_when_the_images_go(root, open_folder):
    contents = open_folder(root).contents
    for part in SIZES:
        shutil.rmtree(root / part)
    assert open_folder(root).contents == contents
    # As an earlier version prepared it.
    os.remove(root / PREPARED / manifest.NAME)
    assert open_folder(root).contents == contents.partition(", images ")[0]
    draw(root)
    shutil.rmtree(root / "test")
    with pytest.raises(InputError, match=r"there is no folder .*test"):
        open_folder(root)


def test_a_run_takes_no_images_of_another_preparation(root, make_config):
    from ifnas_jax.data.source import open_dataset

    config = make_config(root, name="folder", channels=3)
    config.contents = open_dataset(config).contents
    replace_all(root)
    shutil.rmtree(root / PREPARED)
    with pytest.raises(InputError, match=r"dataset\.contents is .*another workdir"):
        open_dataset(config)


def test_images_in_a_bucket_are_compared_too(monkeypatch, tmp_path):
    buckets.use(monkeypatch, buckets.FolderBackend(tmp_path))
    root, place = f"{buckets.BUCKET}/photos", tmp_path / "fake/photos"
    draw(place)
    images = list_images(root)
    known = {
        manifest.key_of(split, label, file): manifest.known(file, read_bytes(file.path))
        for split, classes in images.items()
        for label, files in classes.items()
        for file in files
    }
    manifest.write(f"{root}/{PREPARED}", known)
    for path in place.glob("t*/*/*.*"):
        os.utime(path, (1, 1))
    manifest.compare(root, f"{root}/{PREPARED}", list_images(root), keep=True)
    assert {
        known.modified for known in manifest.read(f"{root}/{PREPARED}").values()
    } == {10**9}
    replace_all(place)
    with pytest.raises(InputError, match=r"changed: test/a/0.png, test/b/0.png, "):
        manifest.compare(root, f"{root}/{PREPARED}", list_images(root), keep=True)


def test_nothing_is_prepared_without_a_manifest(open_folder, tmp_path, monkeypatch):
    draw(tmp_path)

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(manifest, "write", fail)
        with pytest.raises(InputError, match=r"can not be prepared .*No space left"):
            open_folder(tmp_path)
    assert not os.path.exists(tmp_path / PREPARED)
    assert open_folder(tmp_path).num_classes == 2


def test_a_line_is_an_image(folder):
    text = (folder / PREPARED / manifest.NAME).read_text()
    assert len(json.loads(text)) == text.count("\n") - 2 == 13
