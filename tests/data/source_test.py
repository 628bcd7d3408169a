import json
import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest
from official_tars import encode, photograph

from ifnas_jax.data import builder
from ifnas_jax.data.augment import train_transform
from ifnas_jax.data.classes import imagenet100_classes
from ifnas_jax.data.pipeline import augmentation_rng, train_batches
from ifnas_jax.data.source import Examples, open_dataset, split_validation
from ifnas_jax.errors import InputError, StorageError

VERSION = "mnist5k/1.0.0"


@pytest.fixture
def copied(config, mnist5k_dir, tmp_path):
    """A configuration whose prepared set may be broken."""
    shutil.copytree(mnist5k_dir / "mnist5k", tmp_path / "mnist5k")
    config.data_dir = str(tmp_path)
    return config, tmp_path / VERSION


def test_parts(config):
    dataset = open_dataset(config)

    sizes = [len(dataset.train), len(dataset.valid), len(dataset.test)]
    assert sizes == [3000, 1000, 1000]
    assert dataset.num_classes == 10
    example = dataset.train[0]
    assert example["image"].shape == (28, 28, 1)
    assert example["image"].dtype == np.uint8


def test_other_contents_are_refused(copied):
    """Rows of another version, or of other files, may stand in other places."""
    config, folder = copied
    config.contents = open_dataset(config).contents
    assert config.contents.startswith(f"{VERSION}: test 1000, train 4000, files ")
    assert open_dataset(config).contents == config.contents
    info = folder / "dataset_info.json"
    # The same number of examples, in another number of files.
    text = info.read_text()
    (count,) = re.findall(r'"4000"', text)
    info.write_text(text.replace(count, '"1000",\n"3000"'))
    one, two = (f"mnist5k-train.array_record-0000{i}-of-00002" for i in (0, 1))
    shard = folder / "mnist5k-train.array_record-00000-of-00001"
    for name in (one, two):
        shutil.copy(shard, folder / name)
    with pytest.raises(InputError, match=r"dataset\.contents is .*but .*holds"):
        open_dataset(config)


def test_train_and_valid_partition_the_training_split():
    train, valid = split_validation(np.arange(103), 0.2)

    assert len(valid) == 21
    assert np.array_equal(np.sort(np.concatenate([train, valid])), np.arange(103))
    assert np.array_equal(valid, split_validation(np.arange(103), 0.2)[1])


def test_grey_images_are_repeated_for_a_colour_network(config):
    grey = open_dataset(config).test[3]
    config.channels = 3
    colour = open_dataset(config).test[3]

    assert np.array_equal(colour["image"], np.repeat(grey["image"], 3, axis=-1))
    assert colour["label"] == grey["label"]


def test_images_are_resized_where_no_crop_needs_more(config, monkeypatch):
    """A padded crop is of the resized image, so that batches are the same bytes."""
    native = open_dataset(config).train
    config.image_size = 12
    transform = train_transform(config)
    small = open_dataset(config).train
    for index in range(5):
        whole, resized = native[index]["image"], small[index]["image"]
        assert (whole.shape, resized.shape) == ((28, 28, 1), (12, 12, 1))
        ours, theirs = (
            transform(image, augmentation_rng(0, 1, index))
            for image in (whole, resized)
        )
        assert np.array_equal(ours.image, theirs.image)
        assert np.array_equal(ours.draws, theirs.draws)
    # As many bytes as they have then: the same object is kept.
    monkeypatch.setattr("ifnas_jax.data.source._KEEP_BYTES", 5000 * 12 * 12)
    assert (kept := open_dataset(config).train)[0] is kept[0]
    config.image_size = 13
    assert (read := open_dataset(config).train)[0] is not read[0]
    config.crop = "resized"
    assert open_dataset(config).train[0]["image"].shape == (28, 28, 1)


def test_subset_keeps_its_classes_and_renumbers_them(config):
    classes = np.array([2, 7])
    records = open_dataset(config).test._records
    labels = np.array([r["label"] for r in records])
    subset = Examples(records, np.flatnonzero(np.isin(labels, classes)), 1, classes)

    assert [e["label"] for e in subset].count(0) == 100
    assert [e["label"] for e in subset].count(1) == 100


@pytest.mark.parametrize("classes", [("7", "2"), (7, 2), [7, "2"]])
def test_a_class_may_be_named_by_a_number(config, classes):
    with config.unlocked():
        config.classes = classes
    dataset = open_dataset(config)
    assert (dataset.num_classes, dataset.classes) == (2, ("7", "2"))
    assert [example["label"] for example in dataset.test].count(0) == 100
    config.classes = (7, 10)
    with pytest.raises(InputError, match="has '10', which 'mnist5k' does not: did you"):
        open_dataset(config)


def test_imagenet100_classes_follow_their_seed():
    classes = imagenet100_classes(0)

    assert len(np.unique(classes)) == 100
    assert np.array_equal(classes, imagenet100_classes(0))
    assert not np.array_equal(classes, imagenet100_classes(1))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "minst5k", "dataset.name 'minst5k'.*did you mean mnist5k"),
        ("name", "cifar10/none", "dataset.name 'cifar10/none'"),
        ("name", "ag_news_subset", "not an image classification set"),
        ("channels", 2, "dataset.channels is 2"),
        ("num_classes", 7, "dataset.num_classes is 7, but 'mnist5k' has 10"),
    ],
)
def test_settings_that_do_not_fit(config, field, value, message):
    with config.unlocked():
        config[field] = value
    with pytest.raises(InputError, match=message):
        open_dataset(config)


def test_no_network(config, tmp_path, monkeypatch):
    def fail(*_):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setattr(builder.urllib.request, "getproxies", dict)
    config.name, config.data_dir = "fashion_mnist", str(tmp_path)
    with pytest.raises(InputError, match="no network"):
        open_dataset(config)


def test_several_processes_do_not_wait_for_a_set_to_be_prepared(config, tmp_path):
    config.name, config.data_dir = "fashion_mnist", str(tmp_path)
    command = f"prepare --dataset=fashion_mnist --data_dir={tmp_path}`"
    with pytest.raises(InputError, match=re.escape(command)):
        open_dataset(config, prepare=False)
    # The embedded set takes seconds.
    config.name = "mnist5k"
    assert len(open_dataset(config, prepare=False).test) == 1000


def test_missing_manual_download(config, tmp_path):
    config.name, config.data_dir, config.channels = "imagenet100", str(tmp_path), 3
    with pytest.raises(InputError, match=r"_img_train\.tar and .*/manual"):
        open_dataset(config)


@pytest.mark.parametrize(
    "lost", ["dataset_info.json", "mnist5k-train.array_record-00000-of-00001"]
)
def test_lost_file(copied, lost):
    config, folder = copied
    (folder / lost).unlink()
    with pytest.raises(InputError, match=f"half-written, {lost} is missing"):
        open_dataset(config)


@pytest.mark.parametrize("size", [0, 100_000])
def test_cut_shard(copied, size):
    config, folder = copied
    shard = folder / "mnist5k-test.array_record-00000-of-00001"
    shard.write_bytes(shard.read_bytes()[:size])
    with pytest.raises(InputError, match=r"half-written, .* is damaged"):
        open_dataset(config)


def test_cut_info(copied):
    config, folder = copied
    info = folder / "dataset_info.json"
    info.write_text(info.read_text()[:100])
    with pytest.raises(InputError, match=r"dataset_info\.json in .* can not be read"):
        open_dataset(config)


def test_killed_preparation_is_started_again(config, tmp_path, capsys):
    left = tmp_path / "mnist5k" / "incomplete.ABCDEF_1.0.0"
    left.mkdir(parents=True)
    (left / "mnist5k-train.array_record-00000-of-00001").write_bytes(b"half")
    config.data_dir = str(tmp_path)

    assert len(open_dataset(config).test) == 1000
    assert "Preparing the data set mnist5k" in capsys.readouterr().out


def test_tfrecords_are_refused_with_the_command_that_converts(copied):
    config, folder = copied
    info = folder / "dataset_info.json"
    fields = json.loads(info.read_text()) | {"fileFormat": "tfrecord"}
    info.write_text(json.dumps(fields))
    with pytest.raises(
        InputError, match=f"convert_format --dataset_version_dir={folder}"
    ):
        open_dataset(config)

    # What the converter leaves: its files, and this note.
    fields["alternativeFileFormats"] = ["array_record"]
    info.write_text(json.dumps(fields))
    assert len(open_dataset(config).test) == 1000


def unreadable(skip, damaged=b"no image"):
    """Three records, of which the second is damaged, and backwards."""
    photo = encode(photograph(0, (40, 30)))
    records = [{"image": image, "label": 1} for image in (photo, damaged, photo)]
    order = np.array([2, 1, 0])
    return Examples(records, order, 3, range(2), skip=skip, name="toy, split 'train',")


def test_an_unreadable_record_stops():
    for damaged in (b"no image", encode(photograph(0, (40, 30)))[:-300]):
        examples = unreadable(skip=False, damaged=damaged)
        assert examples[0]["image"].shape == (30, 40, 3)
        message = r"record 1 of toy, split 'train', .* dataset.on_unreadable to 'skip'"
        with pytest.raises(StorageError, match=message):
            examples[1]


def test_an_unreadable_record_is_skipped_and_counted_once(caplog):
    examples = unreadable(skip=True)
    for _ in range(2):
        assert [example is None for example in examples] == [False, True, False]
    assert examples.skipped == {1}
    assert caplog.text.count("is no whole image") == 1


@pytest.mark.parametrize("loss", ["cut", "overwritten"])
def test_a_file_that_breaks_during_a_run_is_one_clear_error(copied, loss):
    config, folder = copied
    shard = folder / "mnist5k-train.array_record-00000-of-00001"
    train = open_dataset(config).train
    transform = train_transform(config)
    with closing(train_batches(train, transform, batch_size=8, seed=0)) as batches:
        next(batches)
        if loss == "cut":
            os.truncate(shard, 20_000)
        else:
            shard.write_bytes(bytes(shard.stat().st_size))
        with pytest.raises(StorageError, match=r"can't be read.*dataset\.data_dir"):
            for _ in range(len(train) // 8):
                next(batches)


def test_a_folder_that_vanishes_is_one_clear_error(copied):
    config, folder = copied
    train = open_dataset(config).train
    shutil.rmtree(folder)
    with pytest.raises(StorageError, match=r"No such file .*see that dataset"):
        train_batches(train, train_transform(config), batch_size=8, seed=0)


def test_reading_needs_no_tensorflow_and_exits_at_once(config):
    script = f"""
import json, sys
import ml_collections
from ifnas_jax.data import augment, pipeline, source
config = ml_collections.ConfigDict(json.loads({config.to_json()!r}))
dataset = source.open_dataset(config)
batches = pipeline.train_batches(
    dataset.train, augment.train_transform(config), batch_size=64, seed=0)
next(batches)
print('tensorflow' in sys.modules)
"""
    # Not closed: threads that still read ahead must not keep the process.
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "False"
