"""A data set from a folder of images: DIR/train/CLASS/*.jpg and DIR/test/CLASS/*.jpg.

It is prepared like any TFDS set, under DIR/folder, so that it is read by index; files
are copied as they are, once each has been decoded.
"""

from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds
from etils import epath

from ifnas_jax.data.decode import DecodeError, decode
from ifnas_jax.errors import InputError

FOLDER, VERSION = "folder", "1.0.0"
SPLITS = ("train", "test")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")

# {split: {class: files, sorted by name}}
Images = dict[str, dict[str, list[epath.Path]]]


class Folder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """The builder that prepares it."""

    VERSION = tfds.core.Version(VERSION)

    def __init__(self, images: Images, data_dir: str):
        self._images = images
        super().__init__(data_dir=data_dir)

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=sorted(self._images["train"])),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description="A folder of images.",
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        del dl_manager  # Nothing is downloaded.
        return {split: self._generate_examples(split) for split in self._images}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        # The key, by which TFDS shuffles, does not depend on where the folder is.
        for label, files in self._images[split].items():
            for file in files:
                yield f"{label}/{file.name}", {"image": _read(file), "label": label}


def _read(file: epath.Path) -> bytes:
    """What is in a file, if that is an image."""
    try:
        data = file.read_bytes()
        decode(data, channels=3)
    except (OSError, DecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"dataset.data_dir: {file} can't be read as an image ({reason}); repair or "
            "remove it."
        ) from error
    return data


def find_folder(data_dir: str) -> tfds.core.DatasetBuilder:
    """The builder of a folder of images, or of what was prepared of it.

    Args:
      data_dir: DIR; train and test may both be gone once they are prepared.

    Raises:
      InputError: there are no images as above, or others than were prepared.
    """
    if not data_dir:
        raise InputError(
            "dataset.data_dir is empty, but dataset.name 'folder' reads the images of "
            "a folder: name the one that has train/CLASS/*.jpg and test/CLASS/*.jpg."
        )
    root = epath.Path(data_dir)
    path = root / FOLDER / VERSION
    prepared = (path / "dataset_info.json").exists()
    images = {}
    if not prepared or any((root / split).exists() for split in SPLITS):
        images = {split: _list_split(root / split) for split in SPLITS}
        _check_classes(root, images)
    if not prepared:
        return Folder(images, data_dir)
    builder = tfds.builder(FOLDER, data_dir=data_dir)
    if images:
        _check_same(builder, images)
    return builder


def _list_split(path: epath.Path) -> dict[str, list[epath.Path]]:
    """The images of each class; hidden files are passed over."""
    if not path.is_dir():
        raise InputError(
            f"dataset.data_dir: there is no folder {path}; put the images in folders "
            "train/CLASS and test/CLASS."
        )
    classes = {}
    for folder in sorted(path.iterdir()):
        if folder.name.startswith(".") or not folder.is_dir():
            continue
        _check_class_name(folder)
        files = [f for f in sorted(folder.iterdir()) if not f.name.startswith(".")]
        for file in files:
            if file.suffix.lower() not in SUFFIXES:
                raise InputError(
                    f"dataset.data_dir: {file} is no image, by its name; remove it "
                    f"(the ending is one of {', '.join(SUFFIXES)})."
                )
            if not file.is_file():
                raise InputError(
                    f"dataset.data_dir: {file} is a folder, or a link to nothing; "
                    "remove it."
                )
            if not _is_utf8(file.name):
                raise InputError(
                    f"dataset.data_dir: the name of {str(file)!r} is not UTF-8; "
                    "rename it."
                )
        classes[folder.name] = files
    return classes


def _check_class_name(folder: epath.Path) -> None:
    """Refuses a name that TFDS, which writes one a line and strips it, can't keep."""
    name = folder.name
    if name != name.strip() or len(name.splitlines()) > 1 or not _is_utf8(name):
        raise InputError(
            f"dataset.data_dir: the folder {str(folder)!r} can't name a class; rename "
            "it to one line of UTF-8 that neither begins nor ends with a blank."
        )


def _is_utf8(name: str) -> bool:
    return name.encode(errors="replace").decode() == name


def _check_classes(root: epath.Path, images: Images) -> None:
    """Two classes or more, the same in both parts, none of them empty."""
    train, test = (set(images[split]) for split in SPLITS)
    if len(train) < 2:
        raise InputError(
            f"dataset.data_dir: {root / 'train'} has {len(train)} folders of classes; "
            "make one folder for each class, and at least two."
        )
    for name in sorted(train ^ test):
        there, missing = SPLITS if name in train else SPLITS[::-1]
        raise InputError(
            f"dataset.data_dir: class {name!r} is in {root / there}, but not in "
            f"{root / missing}; put images of each class in both."
        )
    for split, classes in images.items():
        for name, files in classes.items():
            if not files:
                raise InputError(
                    f"dataset.data_dir: {root / split / name} has no images; put some "
                    "there, or remove the class."
                )


def _check_same(builder: tfds.core.DatasetBuilder, images: Images) -> None:
    """Refuses images that came or went after the set was prepared."""
    names = builder.info.features["label"].names
    for split, classes in images.items():
        count = sum(map(len, classes.values()))
        found = builder.info.splits[split].num_examples
        if count != found or sorted(classes) != names:
            raise InputError(
                f"dataset.data_dir: {split} has {count} images of {len(classes)} "
                f"classes, but {found} of {len(names)}, or of others, are prepared in "
                f"{builder.data_path}; delete that folder to prepare them again."
            )
