"""A small folder of images."""

import numpy as np
from PIL import Image

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
