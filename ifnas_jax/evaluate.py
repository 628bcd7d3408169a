"""Tests the network of a finished run on other data, or says what it sees in images.

    python -m ifnas_jax.evaluate --workdir=runs/first
    python -m ifnas_jax.evaluate --workdir=runs/first --images=photos --csv=seen.csv

Without --images: the accuracy on a part of the run's data set (--part; the test part
unless you say), or of another set with the same classes (--dataset, --data-dir). With
--images=DIR: of each image under DIR its most probable classes, printed or as --json or
--csv; where DIR has a folder for each class, also the accuracy.
"""

import argparse
import csv
import io
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from ifnas_jax import command, storage
from ifnas_jax.command import make_parser
from ifnas_jax.data.names import composed
from ifnas_jax.errors import InputError
from ifnas_jax.retraining.trained import load_found, load_trained
from ifnas_jax.run.result import FIVE

_SHOWN = 20  # predictions that are printed


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit code."""
    arguments = _parse(argv)
    try:
        _check(arguments)
        if arguments.images:
            _see(arguments)
        else:
            _test(arguments)
    except command.ERRORS as error:
        return command.failed("evaluate", error, arguments.workdir)
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser("ifnas_jax.evaluate", __doc__)
    add = parser.add_argument
    add("--workdir", required=True, metavar="DIR", help="of the run")
    add("--part", default="test", choices=("train", "valid", "test"),
        help="of the data set")  # fmt: skip
    add("--dataset", default="", help="another TFDS name, or folder")
    add("--data-dir", default="", metavar="DIR", help="where it is")
    add("--images", default="", metavar="DIR", help="a folder of images")
    add("--top", type=int, default=5, metavar="K", help="classes to tell of an image")
    add("--json", default="", metavar="FILE", help="write what each image is seen as")
    add("--csv", default="", metavar="FILE", help="the same, a row for each image")
    return parser.parse_args(argv)


def _check(arguments: argparse.Namespace) -> None:
    """Refuses arguments that say nothing together.

    Raises:
      InputError: there are such.
    """
    if arguments.top < 1:
        raise InputError(f"--top is {arguments.top}; give 1 or more.")
    for name in ("json", "csv"):
        if getattr(arguments, name) and not arguments.images:
            raise InputError(
                f"--{name} tells what images are seen as; name a folder of them with "
                "--images, or leave it out."
            )
    prepared = arguments.dataset or arguments.data_dir or arguments.part != "test"
    if arguments.images and prepared:
        raise InputError(
            "--images is a folder, and --dataset, --data-dir and --part are of a "
            "prepared set; leave one of them out."
        )


def _test(arguments: argparse.Namespace) -> None:
    """The accuracy on a part of a data set.

    Raises:
      InputError: the run is not done, or the set has other classes.
    """
    config = load_found(arguments.workdir).config
    trained = load_trained(arguments.workdir)
    from ifnas_jax.data.source import open_dataset
    from ifnas_jax.retraining.tested import accuracy

    ours, name = tuple(config.dataset.labels), config.dataset.name
    config.dataset.labels = ()
    if arguments.dataset or arguments.data_dir:
        config.dataset.update(
            name=arguments.dataset or name, contents="", test_split="", num_classes=0
        )
    if arguments.dataset:
        config.dataset.data_dir = ""
    if arguments.data_dir:
        config.dataset.data_dir = arguments.data_dir
    dataset = open_dataset(config.dataset)
    if ours and dataset.labels != ours:
        raise InputError(
            f"--dataset {config.dataset.name!r} has other classes than the run's "
            f"{name!r}; choose a set with the same, in the same order."
        )
    if not ours:
        print("The run does not say what its classes are: see that they are these.")
    part = getattr(dataset, arguments.part)
    found = accuracy(config, trained, part)
    print(f"{len(part):,} images of {config.dataset.name}, {arguments.part}:")
    print(f"  top-1  {100 * found['top1']:.2f} %")
    if dataset.num_classes > FIVE:
        print(f"  top-5  {100 * found['top5']:.2f} %")


def _see(arguments: argparse.Namespace) -> None:
    """What the network sees in the images of a folder.

    Raises:
      InputError: the run is not done, or there are no images, or one can't be read.
    """
    from ifnas_jax.report.progress import Progress
    from ifnas_jax.retraining.predictions import predictions

    root = storage.named("--images", arguments.images)
    paths = _images(root)
    config = load_found(arguments.workdir).config
    trained = load_trained(arguments.workdir)
    rows = []
    seen = predictions(config, trained, paths, arguments.top)
    with Progress("images", len(paths)) as progress:
        for number, (path, found) in enumerate(zip(paths, seen, strict=True), start=1):
            name = os.path.relpath(path, root)
            rounded = map(_rounded, found.probabilities)
            told = dict(zip(found.classes, rounded, strict=True))
            rows.append({"image": name, "class": found.classes[0], "classes": told})
            progress.update(number)
    _tell(rows, tuple(config.dataset.labels))
    if arguments.json:
        text = json.dumps(rows, ensure_ascii=False, indent=1)
        storage.write_text(storage.reached("--json", arguments.json), text + "\n")
    if arguments.csv:
        text = _table(rows)
        storage.write_text(storage.reached("--csv", arguments.csv), text)


def _rounded(probability: float) -> float:
    return round(probability, 4)


def _images(root: str) -> list[str]:
    """The paths of all images under a folder, sorted.

    Raises:
      InputError: there are none.
    """
    from ifnas_jax.data.listing import SUFFIXES

    found = sorted(
        os.path.join(folder, name)
        for folder, _, names in os.walk(root)
        for name in names
        if name.lower().endswith(SUFFIXES)
    )
    if not found:
        raise InputError(
            f"--images {root!r} has no images ({', '.join(SUFFIXES)}); name a folder "
            "that has some."
        )
    return found


def _tell(rows: Sequence[dict[str, Any]], labels: Sequence[str]) -> None:
    """Prints the first predictions, and the accuracy where folders are classes."""
    for row in rows[:_SHOWN]:
        told = ", ".join(
            f"{name} {100 * p:.1f} %" for name, p in row["classes"].items()
        )
        print(f"{row['image']}: {told}")
    if len(rows) > _SHOWN:
        print(f"... and {len(rows) - _SHOWN:,} more; --json or --csv writes all.")
    paths = [os.path.dirname(row["image"]) for row in rows]
    folders = [composed(os.path.basename(path)) for path in paths]
    if labels and set(folders) <= set(labels):
        right = sum(map(lambda row, name: row["class"] == name, rows, folders))
        share = 100 * right / len(rows)
        print(f"top-1 by the names of folders: {share:.2f} % of {len(rows):,} images")


def _table(rows: Sequence[dict[str, Any]]) -> str:
    """As CSV: the image, and its classes with their probabilities."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    most = max(len(row["classes"]) for row in rows)
    ranks = [part for n in range(1, most + 1) for part in (f"class{n}", f"p{n}")]
    writer.writerow(["image", *ranks])
    for row in rows:
        own = [value for pair in row["classes"].items() for value in pair]
        writer.writerow([row["image"], *own])
    return text.getvalue()


if __name__ == "__main__":
    sys.exit(command.run("evaluate", main))
