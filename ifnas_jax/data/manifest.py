"""Of which images a set was prepared: a file beside it, by which changes are seen.

`ifnas_images.json` has a line for each image: size, time and checksum of its bytes.
"""

import collections
import json
import os
import uuid
import zlib
from typing import NamedTuple

from absl import logging

from ifnas_jax import files, storage
from ifnas_jax.data.listing import File, Images, shown, some
from ifnas_jax.errors import ChangedError, InputError

NAME = "ifnas_images.json"


class Known(NamedTuple):
    """What an image was when it was prepared."""

    size: int
    modified: int  # in nanoseconds
    checksum: int


# By "SPLIT/CLASS/FILE".
Manifest = dict[str, Known]


def key_of(split: str, label: str, file: File) -> str:
    """The name of an image in a manifest."""
    return f"{split}/{label}/{file.name}"


def known(file: File, data: bytes) -> Known:
    """What is noted of a file whose bytes were read after it was listed."""
    return Known(len(data), file.modified, zlib.crc32(data))


def write(folder: str | os.PathLike, manifest: Manifest) -> None:
    """Writes it whole, or not at all; a line is an image.

    Raises:
      OSError: it can't be written.
    """
    lines = [f"{json.dumps(key)}: {json.dumps(of)}" for key, of in manifest.items()]
    path = os.path.join(folder, NAME)
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    if storage.in_bucket(path):
        storage.write_text(path, text)
        return
    # Several may be at it, each with the same.
    part = f"{path}.{uuid.uuid4().hex}.part"
    storage.write_text(part, text)
    os.replace(part, path)


def read(folder: str | os.PathLike) -> Manifest | None:
    """That of a prepared set; None if there is none.

    Raises:
      InputError: it is damaged.
    """
    path = os.path.join(folder, NAME)
    if not storage.exists(path):
        return None
    try:
        lines = files.parse_json(storage.read_bytes(path))
        return {key: _parsed(line) for key, line in lines.items()}
    except (ValueError, AttributeError) as error:
        raise InputError(
            f"dataset.data_dir: {shown(path)} is damaged; delete "
            f"{shown(os.fspath(folder))} to prepare the images again."
        ) from error


def _parsed(line: object) -> Known:
    if not isinstance(line, list) or [type(value) for value in line] != [int] * 3:
        raise ValueError("an image has three integers")
    return Known(*line)


def checksum(manifest: Manifest) -> int:
    """Of the images alone: when they were written is left out."""
    facts = sorted((key, of.size, of.checksum) for key, of in manifest.items())
    return zlib.crc32(json.dumps(facts).encode())


def compare(root: str, folder: str | os.PathLike, images: Images, keep: bool) -> None:
    """Refuses images that are not those which were prepared.

    A file of the same size and time is taken for the same; one of another time is read.

    Args:
      root: where the images are.
      folder: of the prepared set.
      images: as they are now.
      keep: whether to note the new times of the same images, so that they are not read
      again.

    Raises:
      InputError: they differ, or it isn't known what was prepared.
    """
    before = read(folder)
    again = f"delete {shown(os.fspath(folder))} to prepare them again"
    if before is None:
        raise InputError(
            f"dataset.data_dir: of which images {shown(os.fspath(folder))} was "
            f"prepared is not known, so that those in {shown(root)} may be others; "
            f"{again}, or move train and test elsewhere to use what was prepared."
        )
    now = {
        key_of(split, label, file): file
        for split, classes in images.items()
        for label, listed in classes.items()
        for file in listed
    }
    differences = _differences(before, now)
    same = before.keys() & now.keys()
    touched = [key for key in same if before[key].modified != now[key].modified]
    if not differences and touched:
        print(f"Reading {len(touched):,} images whose times are new.", flush=True)
        changed = [key for key in touched if _sum(now[key]) != before[key].checksum]
        differences = {"changed": sorted(changed)} if changed else {}
    if differences:
        what = "; ".join(f"{kind}: {some(keys)}" for kind, keys in differences.items())
        raise ChangedError(
            f"dataset.data_dir: the images in {shown(root)} are not those that were "
            f"prepared ({what}); for a run that has begun put them back, or move train "
            f"and test elsewhere to use what was prepared; for a new one {again}."
        )
    if touched and keep:
        new = {key: before[key]._replace(modified=now[key].modified) for key in before}
        _note(folder, new)


def _differences(before: Manifest, now: dict[str, File]) -> dict[str, list[str]]:
    """What can be seen unread: names of images by the kind of their change."""
    gone, new = before.keys() - now.keys(), now.keys() - before.keys()
    places = collections.defaultdict(list)
    for key in sorted(gone):
        places[os.path.basename(key), *before[key][:2]].append(key)
    moved = {}
    for key in sorted(new):
        found = places[now[key].name, now[key].size, now[key].modified]
        if found:
            moved[found.pop(0)] = key
    both = before.keys() & now.keys()
    kinds = {
        "moved": [f"{old} to {key}" for old, key in moved.items()],
        "new": sorted(new - set(moved.values())),
        "gone": sorted(gone - moved.keys()),
        "changed": sorted(key for key in both if before[key].size != now[key].size),
    }
    return {kind: keys for kind, keys in kinds.items() if keys}


def _sum(file: File) -> int:
    try:
        return zlib.crc32(storage.read_bytes(file.path))
    except OSError as error:
        raise InputError(
            f"dataset.data_dir: {shown(file.path)} can't be read ({error.strerror}); "
            "mend that."
        ) from error


def _note(folder: str | os.PathLike, manifest: Manifest) -> None:
    try:
        write(folder, manifest)
    except OSError as error:
        logging.warning(
            "The new times of the images can't be kept in %s (%s): every start reads "
            "them.",
            folder,
            error,
        )
