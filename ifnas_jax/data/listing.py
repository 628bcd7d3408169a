"""What lies in a folder of images: DIR/train/CLASS/*.jpg and DIR/test/CLASS/*.jpg.

Nothing is left out without a word, but for what operating systems leave behind and
what is no image beside the folders of classes.
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

from ifnas_jax import storage
from ifnas_jax.data.names import composed
from ifnas_jax.errors import InputError

SPLITS = ("train", "test")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")

# Of file managers, archives, network drives and file systems, in lower case; what
# begins with a dot is passed over anyway.
_LEFT_BEHIND = {
    *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "picasa.ini"),
    *("$recycle.bin", "system volume information", "icon\r", "__macosx"),
    *("@eadir", "#recycle", "@recycle", "#snapshot", "lost+found"),
}


class File(NamedTuple):
    """A file, and what is known of it unread."""

    path: str
    size: int
    modified: int  # in nanoseconds

    @property
    def name(self) -> str:
        """Its own name."""
        return os.path.basename(self.path)


# {split: {class: files, sorted by name}}
Images = dict[str, dict[str, list[File]]]


def list_images(root: str) -> Images:
    """The images of each class, of both splits.

    A class is named in Unicode's composed form (NFC), however its folder is: macOS
    writes names apart that are whole elsewhere.

    Raises:
      InputError: there are not the same two classes or more in both splits, each with
      images, or there is something that would be left out.
    """
    splits, strays = {}, []
    for split in SPLITS:
        splits[split], images = _list_split(os.path.join(root, split))
        strays += images
    _refuse(
        strays,
        "images lie beside the folders of classes",
        "move each into the folder of its class, or remove it",
    )
    images = {
        split: {name: _list_class(folder) for name, folder in classes.items()}
        for split, classes in splits.items()
    }
    entries = [
        entry
        for classes in images.values()
        for entries in classes.values()
        for entry in entries
    ]
    _check_entries(entries)
    images = {
        split: {name: [file for file, _ in entries] for name, entries in found.items()}
        for split, found in images.items()
    }
    _check_classes(root, images)
    return images


def say_unread(root: str) -> None:
    """Says which images beside `train` and `test` are not read, if there are some."""
    names = [name for name in _names_in(root) if name not in SPLITS]
    unread = [name for name in names if _holds_images(os.path.join(root, name), 2)]
    if unread:
        print(
            f"Beside train and test, {shown(root)} has images that are not read: "
            f"{some(unread)}.",
            flush=True,
        )


def _holds_images(path: str, depth: int) -> bool:
    """Whether a path is an image, or a folder with some, down to a depth."""
    if not _facts(path).is_folder:
        return _is_image(path)
    inside = _names_in(path) if depth else []
    return any(_holds_images(os.path.join(path, name), depth - 1) for name in inside)


def shown(name: str) -> str:
    """A path or a name for a sentence, on one line."""
    return name if name.isprintable() else repr(name)


def some(names: Sequence[str]) -> str:
    """The first three, and how many more there are."""
    listed = ", ".join(map(shown, names[:3]))
    more = len(names) - 3
    return f"{listed} and {more:,} more" if more > 0 else listed


def _refuse(paths: Sequence[str], what: str, mend: str) -> None:
    """Refuses paths of one kind, if there are any, all at once."""
    if paths:
        raise InputError(f"dataset.data_dir: {what}: {some(paths)}; {mend}.")


def _names_in(folder: str) -> list[str]:
    """The names of what is in a folder, sorted, without what was left behind."""
    try:
        names = storage.names_in(folder)
    except OSError as error:
        raise InputError(
            f"dataset.data_dir: {shown(folder)} can't be read ({error.strerror}); mend "
            "that."
        ) from error
    return [n for n in names if not n.startswith(".") and n.lower() not in _LEFT_BEHIND]


def _facts(path: str) -> storage.Facts:
    """Of a file or folder; of a link to nothing, that it is neither."""
    try:
        return storage.facts(path)
    except OSError:
        return storage.Facts(False, False, 0, 0)


def _list_split(path: str) -> tuple[dict[str, str], list[str]]:
    """The folder of each class, sorted by name, and images that lie beside them."""
    if not _facts(path).is_folder:
        raise InputError(
            f"dataset.data_dir: there is no folder {shown(path)}; put the images in "
            "folders train/CLASS and test/CLASS."
        )
    classes, strays, nothing = {}, [], []
    for found in _names_in(path):
        entry = os.path.join(path, found)
        facts = _facts(entry)
        if facts.is_folder:
            name = _class_name(entry)
            if name in classes:
                spellings = sorted([os.path.basename(classes[name]), found])
                raise InputError(
                    f"dataset.data_dir: {shown(path)} has two folders whose names read "
                    f"the same, spelled {' and '.join(map(ascii, spellings))}; put the "
                    "images of both into one."
                )
            classes[name] = entry
        elif _is_image(found):
            strays.append(entry)
        elif not facts.is_file:
            nothing.append(entry)
    _refuse(
        nothing,
        "what is neither a folder nor a file, such as a link to nothing, lies there",
        "mend or remove it",
    )
    return dict(sorted(classes.items())), strays


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def _class_name(folder: str) -> str:
    """Composed; TFDS, which writes one a line and strips it, has to keep it."""
    name = os.path.basename(folder)
    if name != name.strip() or len(name.splitlines()) > 1 or not storage.is_utf8(name):
        raise InputError(
            f"dataset.data_dir: the folder {folder!r} can't name a class; rename "
            "it to one line of UTF-8 that neither begins nor ends with a blank."
        )
    return composed(name)


def _list_class(folder: str) -> list[tuple[File, storage.Facts]]:
    """What lies in the folder of a class, sorted by name."""
    entries = []
    for name in _names_in(folder):
        path = os.path.join(folder, name)
        facts = _facts(path)
        entries.append((File(path, facts.size, facts.modified), facts))
    return entries


def _check_entries(entries: Sequence[tuple[File, storage.Facts]]) -> None:
    """Refuses what is no image, by its kind or its name."""
    _refuse(
        [file.path for file, facts in entries if facts.is_folder],
        "a folder lies among the images of a class",
        "move its images into the folder of the class, or remove it",
    )
    _refuse(
        [file.path for file, _ in entries if not _is_image(file.name)],
        "what is no image, by its name, lies among the images of a class",
        f"remove it (the ending is one of {', '.join(SUFFIXES)})",
    )
    _refuse(
        [file.path for file, facts in entries if not facts.is_file],
        "what is no file, such as a link to nothing, lies among the images",
        "mend or remove it",
    )
    _refuse(
        [ascii(file.path) for file, _ in entries if not storage.is_utf8(file.name)],
        "a name is not UTF-8",
        "rename it",
    )


def _check_classes(root: str, images: Images) -> None:
    """Two classes or more, the same in both parts, none of them empty."""
    train, test = (set(images[split]) for split in SPLITS)
    path = {split: shown(os.path.join(root, split)) for split in SPLITS}
    if len(train) < 2:
        raise InputError(
            f"dataset.data_dir: {path['train']} has {len(train)} folders of classes; "
            "make one folder for each class, and at least two."
        )
    for name in sorted(train ^ test):
        there, missing = SPLITS if name in train else SPLITS[::-1]
        raise InputError(
            f"dataset.data_dir: class {name!r} is in {path[there]}, but not in "
            f"{path[missing]}; put images of each class in both."
        )
    for split, classes in images.items():
        for name, files in classes.items():
            if not files:
                raise InputError(
                    f"dataset.data_dir: {shown(os.path.join(root, split, name))} has "
                    "no images; put some there, or remove the class."
                )
