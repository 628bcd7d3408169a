"""ImageNet, prepared by TFDS from tars like the official ones."""

import shutil

import numpy as np
import official_tars
import pytest

from ifnas_jax.data import classes, prepare
from ifnas_jax.data.augment import eval_transform, train_transform
from ifnas_jax.data.decode import decode
from ifnas_jax.data.pipeline import eval_batches, train_batches
from ifnas_jax.data.source import open_dataset
from ifnas_jax.errors import InputError

SYNSETS = official_tars.SYNSETS


@pytest.fixture
def tars(imagenet, tmp_path):
    """The two tars, in a folder where nothing is prepared yet."""
    folder = tmp_path / "downloads" / "manual"
    shutil.copytree(imagenet[0] / "downloads" / "manual", folder)
    return folder


def names_of(config):
    builder = prepare.prepared_builder("imagenet2012", config.data_dir)
    return builder.info.features["label"].names


def test_every_image_is_there_with_its_synset(imagenet, imagenet_config):
    _, images = imagenet
    dataset = open_dataset(imagenet_config)
    names = names_of(imagenet_config)
    validation = official_tars.validation_synsets()

    assert (len(dataset.train), len(dataset.valid), len(dataset.test)) == (12, 4, 30)
    assert (dataset.num_classes, dataset.classes) == (1000, ())
    seen = set()
    for part in (dataset.train, dataset.valid, dataset.test):
        for at, example in enumerate(part):
            file = part._records[int(part._indices[at])]["file_name"].decode()
            seen.add(file)
            synset = file.split("_")[0]
            if synset == "ILSVRC2012":
                synset = validation[int(file.split("_")[2][:8]) - 1]
            assert names[example["label"]] == synset
            expected = decode(images[file], 3).astype(int)
            # TFDS writes two of them anew.
            rewritten = file in (official_tars.CMYK, official_tars.PNG)
            difference = np.abs(example["image"] - expected)
            assert difference.mean() < 5 if rewritten else not difference.any()
    assert seen == set(images)


def test_imagenet100_names_its_classes_and_reads_no_other(imagenet_config):
    imagenet_config.name = "imagenet100"
    dataset = open_dataset(imagenet_config)
    names = names_of(imagenet_config)
    drawn = [names[label] for label in classes.imagenet100_classes(0)]

    assert dataset.classes == tuple(drawn)
    assert dataset.num_classes == 100
    ours = [name for name in SYNSETS if name in drawn]
    parts = (*dataset.train, *dataset.valid)
    found = sorted(drawn[example["label"]] for example in parts)
    assert found == sorted(4 * ours)
    expected = [s for s in official_tars.validation_synsets() if s in drawn]
    found = [drawn[example["label"]] for example in dataset.test]
    assert sorted(found) == sorted(expected) != []
    # As a run goes on: the names are in its config.
    imagenet_config.classes, imagenet_config.subset_seed = dataset.classes, 1
    again = open_dataset(imagenet_config)
    assert again.classes == dataset.classes
    assert [e["label"] for e in again.test] == [e["label"] for e in dataset.test]


def test_a_list_of_ones_own_gives_the_labels_their_order(imagenet_config):
    chosen = (SYNSETS[3], SYNSETS[0], official_tars.validation_synsets()[0])
    imagenet_config.classes = chosen
    dataset = open_dataset(imagenet_config)

    assert (dataset.num_classes, dataset.classes) == (3, chosen)
    labels = [
        example["label"] for part in (dataset.train, dataset.valid) for example in part
    ]
    assert sorted(labels) == [0] * 4 + [1] * 4
    validation = official_tars.validation_synsets()
    expected = [chosen.index(synset) for synset in validation if synset in chosen]
    assert sorted(e["label"] for e in dataset.test) == sorted(expected)
    assert 2 in expected


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("n01443537", "n0144353"), "has 'n0144353', .* did you mean n01443537"),
        (("n01443537", "n01443537"), "has 'n01443537' 2 times"),
        (("n01443537",), "name at least two classes"),
        (("n01440764", "n01484850"), "none of them has an example in split 'train'"),
    ],
)
def test_lists_that_make_no_set(imagenet_config, names, message):
    imagenet_config.classes = names
    with pytest.raises(InputError, match=f"dataset.classes.*{message}"):
        open_dataset(imagenet_config)


def test_labels_need_not_be_kept(imagenet_config, tmp_path, monkeypatch):
    source = tmp_path / "imagenet2012"
    shutil.copytree(f"{imagenet_config.data_dir}/imagenet2012", source)
    for file in source.rglob("ifnas_labels*"):
        file.unlink()
    imagenet_config.data_dir, imagenet_config.name = str(tmp_path), "imagenet100"
    # Of several processes, the others would wait for the one that reads them.
    with pytest.raises(InputError, match=r"prepare --dataset=imagenet100 --data_dir="):
        open_dataset(imagenet_config, prepare=False)
    expected = [example["label"] for example in open_dataset(imagenet_config).test]
    kept = sorted(source.rglob("ifnas_labels*"))
    assert [file.name[13:-4] for file in kept] == ["train", "validation"]
    assert len(open_dataset(imagenet_config, prepare=False).test) == len(expected)

    for file in kept:
        file.unlink()

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    builder = prepare.prepared_builder("imagenet2012", str(tmp_path))
    monkeypatch.setattr(type(builder.data_path), "write_bytes", refuse)
    found = [example["label"] for example in open_dataset(imagenet_config).test]
    assert found == expected
    assert not list(source.rglob("ifnas_labels*"))


def test_images_of_any_size_become_batches(imagenet_config):
    dataset = open_dataset(imagenet_config)
    batches = train_batches(
        dataset.train, train_transform(imagenet_config), batch_size=24, seed=0
    )
    batch = next(batches)
    batches.close()
    assert batch["image"].shape == (24, 32, 32, 3)
    assert batch["image"].dtype == np.uint8
    assert len(np.unique(batch["image"], axis=0)) == 24  # two epochs, not alike
    rows = eval_batches(dataset.test, eval_transform(imagenet_config), batch_size=16)
    assert sum(batch["mask"].sum() for batch in rows) == 30


def test_a_missing_tar_is_noticed_before_hours_of_preparing(tars):
    (tars / "ILSVRC2012_img_val.tar").unlink()
    with pytest.raises(InputError, match=f"img_val.tar can not be found in {tars}"):
        prepare.prepared_builder("imagenet2012", str(tars.parents[1]))


@pytest.mark.parametrize("tar", ["ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"])
def test_a_cut_tar_is_not_taken_for_a_set(tars, tar):
    data = (tars / tar).read_bytes()
    (tars / tar).write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(InputError, match=rf"{tar} is cut \(unexpected end of data\)"):
        prepare.prepared_builder("imagenet2012", str(tars.parents[1]))


def test_preparing_by_a_command(imagenet, capsys):
    assert prepare.main(["--dataset=imagenet100", f"--data_dir={imagenet[0]}"]) == 0
    assert "train 16, validation 30." in capsys.readouterr().out
    assert prepare.main(["--dataset=imagenet2o12", f"--data_dir={imagenet[0]}"]) == 2
    assert "did you mean imagenet2012" in capsys.readouterr().err
