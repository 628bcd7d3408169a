"""A data set from a folder of images: DIR/train/CLASS/*.jpg and DIR/test/CLASS/*.jpg.

It is prepared like any TFDS set, under DIR/folder, so that it is read by index; files
are copied as they are, once each has been decoded.
"""

import os
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds
from etils import epath

from ifnas_jax import storage
from ifnas_jax.data import manifest
from ifnas_jax.data.decode import DecodeError, decode
from ifnas_jax.data.listing import SPLITS, File, Images, list_images, say_unread, shown
from ifnas_jax.errors import InputError

FOLDER, VERSION = "folder", "1.0.0"


class Folder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """The builder that prepares it."""

    VERSION = tfds.core.Version(VERSION)

    def __init__(self, images: Images, data_dir: str):
        self._images = images
        self._read: manifest.Manifest = {}
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
                data = _read(file)
                known = manifest.known(file, data)
                self._read[manifest.key_of(split, label, file)] = known
                yield f"{label}/{file.name}", {"image": data, "label": label}

    def _download_and_prepare(self, dl_manager, download_config) -> None:
        super()._download_and_prepare(dl_manager, download_config)
        # In the folder that TFDS renames when all is in it: none goes without.
        manifest.write(self.data_path, self._read)


def _read(file: File) -> bytes:
    """What is in a file, if that is an image."""
    try:
        data = storage.read_bytes(file.path)
        decode(data, channels=3)
    except (OSError, DecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"dataset.data_dir: {shown(file.path)} can't be read as an image "
            f"({reason}); repair or remove it."
        ) from error
    return data


def find_folder(data_dir: str, prepare: bool = True) -> tfds.core.DatasetBuilder:
    """The builder of a folder of images, or of what was prepared of it.

    Args:
      data_dir: DIR; train and test may both be gone once they are prepared.
      prepare: whether this process is alone, and may write beside what was prepared.

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
        images = list_images(data_dir)
    if not prepared:
        say_unread(data_dir)
        return Folder(images, data_dir)
    if images:
        manifest.compare(data_dir, os.fspath(path), images, keep=prepare)
    return tfds.builder(FOLDER, data_dir=data_dir)
