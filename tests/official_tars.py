"""Photographs that ship in wheels, and tars of them like the two of image-net.org."""

import importlib.util
import io
import pathlib
import tarfile

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

# Of the real set, TFDS knows that these two are no RGB JPEGs, and makes them so.
CMYK, PNG = "n01739381_1309.JPEG", "n02105855_2933.JPEG"
VALIDATION = 30
# Of the classes of imagenet100 (seed 0) all but the second, which has the CMYK image.
SYNSETS = ("n01443537", "n01739381", "n01537544", "n02105855")
_PHOTOGRAPHS = (
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
    ("skimage", "data/astronaut.png"),
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/rocket.jpg"),
)


def photograph(number: int, size: tuple[int, int]) -> Image.Image:
    """One of the photographs, as RGB of (width, height)."""
    package, path = _PHOTOGRAPHS[number % len(_PHOTOGRAPHS)]
    folder = pathlib.Path(importlib.util.find_spec(package).origin).parent
    with Image.open(folder / path) as file:
        return file.convert("RGB").resize(size)


def encode(image: Image.Image, file_format: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def _encoded(name: str, number: int) -> bytes:
    rng = np.random.default_rng(number)
    width, height = (int(side) for side in rng.integers(60, 120, 2))
    image = photograph(number, (width, height))
    if name == PNG:
        return encode(image, "PNG")
    if name == CMYK:
        return encode(image.convert("CMYK"))
    if number % 5 == 1:
        return encode(image.convert("L"))
    progressive = number % 5 == 2
    return encode(image, quality=95, subsampling=number % 3, progressive=progressive)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def write_tars(folder: pathlib.Path) -> dict[str, bytes]:
    """Writes a train tar of tars, four images a synset, and a validation tar.

    Returns:
        The bytes of each image, by its file name.
    """
    folder.mkdir(parents=True)
    images = {}
    with tarfile.open(folder / "ILSVRC2012_img_train.tar", "w") as train:
        for synset in SYNSETS:
            names = [f"{synset}_{number}.JPEG" for number in (2, 13, 107, 99999)]
            names[0] = {CMYK[:9]: CMYK, PNG[:9]: PNG}.get(synset, names[0])
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as tar:
                for name in names:
                    images[name] = _encoded(name, len(images))
                    _add(tar, name, images[name])
            _add(train, f"{synset}.tar", inner.getvalue())
    with tarfile.open(folder / "ILSVRC2012_img_val.tar", "w") as valid:
        for number in range(1, VALIDATION + 1):
            name = f"ILSVRC2012_val_{number:08d}.JPEG"
            images[name] = _encoded(name, number)
            _add(valid, name, images[name])
    return images


def validation_synsets() -> list[str]:
    """The official synsets of the validation images, in the order of their names."""
    path = tfds.core.tfds_path("datasets/imagenet2012/validation_labels.txt")
    return path.read_text().split()[:VALIDATION]
