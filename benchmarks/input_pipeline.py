"""Images a second and core of the input pipeline, beside a plain loop over PIL.

    python -m benchmarks.input_pipeline --json=FILE [--quick]

Both read the same JPEGs of 500×375 pixels, cut from photographs that ship in wheels,
of about the bytes that ImageNet's have. The plain loop does what torchvision does with
PIL images, and normalises with NumPy; the pipeline cuts and draws, and leaves the rest
to the devices. What that costs where the device is this processor is a row of its own.
Seconds are those of the processor, all threads together, and the best of repeats that
alternate between the cases: what else runs on the machine shifts all of them.
"""

import argparse
import importlib.metadata
import importlib.util
import io
import itertools
import os
import pathlib
import platform
import sys
import time
from contextlib import closing

import numpy as np
from PIL import Image, ImageEnhance

from ifnas_jax import config as config_lib
from ifnas_jax import files
from ifnas_jax.data import augment
from ifnas_jax.data.decode import decode
from ifnas_jax.data.pipeline import eval_batches, train_batches
from ifnas_jax.data.source import Examples
from ifnas_jax.runtime.host_memory import keep_freed_memory

PHOTOGRAPHS = {
    "sklearn": ("datasets/images/china.jpg", "datasets/images/flower.jpg"),
    "skimage": tuple(
        f"data/{name}"
        for name in (
            "astronaut.png",
            "chelsea.png",
            "coffee.png",
            "motorcycle_left.png",
            "rocket.jpg",
        )
    ),
}
WIDTH, HEIGHT, QUALITY = 500, 375, 96
BATCH, REPEATS = 64, 9


def jpegs() -> list[bytes]:
    """The photographs, cut to 4:3, half of them with halved colour."""
    found = []
    for package, paths in PHOTOGRAPHS.items():
        folder = pathlib.Path(importlib.util.find_spec(package).origin).parent
        for path in paths:
            with Image.open(folder / path) as file:
                photo = file.convert("RGB")
            width = min(photo.width, photo.height * WIDTH // HEIGHT)
            height = min(photo.height, photo.width * HEIGHT // WIDTH)
            left, top = (photo.width - width) // 2, (photo.height - height) // 2
            box = (left, top, left + width, top + height)
            photo = photo.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS, box)
            buffer = io.BytesIO()
            photo.save(
                buffer, "JPEG", quality=QUALITY, subsampling=2 * (len(found) % 2)
            )
            found.append(buffer.getvalue())
    return found


def plain_normalise(image: Image.Image, config) -> np.ndarray:
    """As torchvision's ToTensor and Normalize do."""
    pixels = np.asarray(image, np.float32) / 255
    return (pixels - np.array(config.mean, np.float32)) / np.array(
        config.std, np.float32
    )


def plain_jitter(image: Image.Image, rng, strengths) -> Image.Image:
    """As torchvision's ColorJitter does with PIL images."""
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    factors = [rng.uniform(1 - strength, 1 + strength) for strength in strengths[:3]]
    shift = rng.uniform(-strengths[3], strengths[3])
    for which in rng.permutation(4):
        if which < 3:
            image = enhancers[which](image).enhance(factors[which])
            continue
        hue, saturation, value = image.convert("HSV").split()
        levels = np.array(hue, np.uint8)
        levels += np.int32(shift * 255).astype(np.uint8)
        hue = Image.fromarray(levels)
        image = Image.merge("HSV", (hue, saturation, value)).convert("RGB")
    return image


def plain_train(data: bytes, rng: np.random.Generator, config) -> np.ndarray:
    """Decodes, cuts, resizes, mirrors, jitters and normalises one image."""
    with Image.open(io.BytesIO(data)) as file:
        image = file.convert("RGB")
    top, left, height, width = augment.crop_box(image.height, image.width, rng)
    image = image.crop((left, top, left + width, top + height))
    size = (config.image_size, config.image_size)
    image = image.resize(size, Image.Resampling.BILINEAR)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if any(config.jitter):
        image = plain_jitter(image, rng, config.jitter)
    return plain_normalise(image, config)


def plain_eval(data: bytes, config) -> np.ndarray:
    """Decodes, resizes, cuts the centre and normalises one image."""
    with Image.open(io.BytesIO(data)) as file:
        image = file.convert("RGB")
    short = round(config.image_size * 256 / 224)
    size = tuple(int(short * side / min(image.size)) for side in image.size)
    image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = (round((side - config.image_size) / 2) for side in size)
    box = (left, top, left + config.image_size, top + config.image_size)
    return plain_normalise(image.crop(box), config)


def decoders() -> dict:
    """Ways to the pixels of a crop: (data, box) -> uint8 [height, width, 3]."""
    import tensorflow as tf

    def cut(pixels, box):
        top, left, height, width = box
        return pixels[top : top + height, left : left + width]

    def pil(data, box):
        with Image.open(io.BytesIO(data)) as file:
            return cut(np.asarray(file.convert("RGB")), box)

    def tensorflow(data, box):
        return tf.io.decode_and_crop_jpeg(
            data, box, channels=3, dct_method="INTEGER_ACCURATE"
        ).numpy()

    return {
        "PIL, then cut": pil,
        "ifnas_jax (libjpeg-turbo), then cut": lambda data, box: cut(
            decode(data, 3), box
        ),
        "TensorFlow, the crop only": tensorflow,
    }


def _seconds(work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(cases: dict, images: int, repeats: int) -> dict[str, float]:
    """Images a second and core of each case, which does `images` of them a call."""
    best = dict.fromkeys(cases, float("inf"))
    for _ in range(repeats):
        for name, work in cases.items():
            best[name] = min(best[name], _seconds(work))
    return {name: round(images / seconds, 1) for name, seconds in best.items()}


def settings(jitter: bool):
    """The data set's configuration for ImageNet."""
    config = config_lib.default("imagenet2012").dataset
    if not jitter:
        config.jitter = (0.0, 0.0, 0.0, 0.0)
    return config


def training(data: list[bytes], source: Examples, jitter: bool) -> dict:
    """The pipeline's batches, and the plain loop's."""
    config = settings(jitter)
    batches = train_batches(
        source,
        augment.train_transform(config),
        batch_size=BATCH,
        seed=0,
        num_threads=0,
    )
    stream = itertools.cycle(data)
    rng = np.random.default_rng(0)

    def plain():
        np.stack([plain_train(next(stream), rng, config) for _ in range(BATCH)])

    return {"ifnas_jax": lambda: next(batches), "plain PIL": plain}


def on_device(source: Examples) -> dict:
    """What is left to the devices of a batch, on this processor."""
    import jax

    from ifnas_jax.training import preparer

    cases = {}
    for name, jitter in (("normalise", False), ("jitter, normalise", True)):
        config = settings(jitter)
        transform = augment.train_transform(config)
        with closing(
            train_batches(source, transform, batch_size=BATCH, seed=0, num_threads=0)
        ) as batches:
            batch = jax.device_put(next(batches))
        prepare = jax.jit(preparer(config))

        def work(prepare=prepare, batch=batch):
            jax.block_until_ready(prepare(batch))

        work()  # Compiles.
        cases[f"flip, {name}"] = work
    return cases


def evaluation(data: list[bytes], source: Examples) -> dict:
    """The same of evaluation."""
    config = settings(jitter=False)
    transform = augment.eval_transform(config)
    batches = eval_batches(source, transform, batch_size=BATCH, num_threads=0)
    stream = itertools.cycle(data)

    def plain():
        np.stack([plain_eval(next(stream), config) for _ in range(BATCH)])

    return {"ifnas_jax": lambda: list(batches), "plain PIL": plain}


def main() -> None:
    """Measures, prints a table, and writes it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", help="where to write the table")
    parser.add_argument("--quick", action="store_true", help="one repeat")
    arguments = parser.parse_args()
    keep_freed_memory()
    repeats = 1 if arguments.quick else REPEATS
    data = jpegs()
    records = [{"image": data[i % len(data)], "label": 0} for i in range(BATCH)]
    source = Examples(records, np.arange(BATCH), 3, range(1))
    rng = np.random.default_rng(0)
    boxes = [augment.crop_box(HEIGHT, WIDTH, rng) for _ in range(BATCH)]

    def decoding(function):
        return lambda: [
            function(record["image"], box)
            for record, box in zip(records, boxes, strict=True)
        ]

    tables = {
        "training, no jitter": training(data, source, jitter=False),
        "training, jitter": training(data, source, jitter=True),
        "evaluation": evaluation(data, source),
        "left to the devices": on_device(source),
        "decoding for a crop": {k: decoding(f) for k, f in decoders().items()},
    }
    rows = []
    for name, cases in tables.items():
        for case, rate in compare(cases, BATCH, repeats).items():
            rows.append({"what": name, "how": case, "images_per_core_second": rate})
            print(f"{name:22s} {case:38s} {rate:8.1f} images / s / core", flush=True)
    if arguments.json:
        packages = ("numpy", "pillow", "simplejpeg", "tensorflow-cpu")
        result = {
            "command": f"python -m benchmarks.input_pipeline {' '.join(sys.argv[1:])}",
            "images": f"{WIDTH}x{HEIGHT} JPEG, mean {np.mean([*map(len, data)]):.0f} B",
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            # Of the minute before: with other work beside it only ratios count.
            "load": os.getloadavg()[0],
            "versions": {name: importlib.metadata.version(name) for name in packages},
            "rows": rows,
        }
        files.write_json(arguments.json, result)


if __name__ == "__main__":
    main()
