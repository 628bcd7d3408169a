"""Folders of images: with what does not belong there, and changed once prepared.

A case is a tree of files and what is done to it later. It is refused by an `InputError`
of one sentence that names dataset.data_dir, or the records that are read are the bytes
that lie there, each with its class, by a plain look at the tree: before and after.
"""

import contextlib
import io
import os
import shutil
import tempfile
import unicodedata

import tensorflow_datasets as tfds
from hypothesis import strategies as st
from PIL import Image

from benchmarks.fuzz.harness import check_sentence
from ifnas_jax.data.builder import open_records, prepared_builder
from ifnas_jax.errors import InputError


def _image(form: str, colour: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (3, 2), (colour, 80, 9)).save(file, form)
    return file.getvalue()


# Bitmaps have one size, whatever is in them.
_IMAGES = [_image(form, c) for form in ("BMP", "PNG", "GIF") for c in (1, 2, 3)]
_CONTENTS = [*_IMAGES * 4, b"no image"]
_COMPOSED, _APART = "z\u00e9", "ze\u0301"
_CLASSES = ("a", "b", "3", "A", _COMPOSED, _APART)
_FILES = ("0.png", "1.PNG", "2.bmp", "3.gif", "4.jpeg", "\u00e9.webp", "e\u0301.webp")
_JUNK = (
    *(".DS_Store", "._0.png", ".hidden.png", "Thumbs.db", "THUMBS.DB", "desktop.ini"),
    *("Icon\r", "ehthumbs.db", "@eaDir", "__MACOSX", "$RECYCLE.BIN", "lost+found"),
)
_STRANGE = ("notes.txt", "x.tiff", "no_ending", "two\nlines.txt", "a.png.part")
_SPLITS = ("train", "test")

_tree = st.dictionaries(
    st.sampled_from(_FILES), st.sampled_from(_CONTENTS), min_size=1, max_size=3
)
# (split, class, name, what): a folder of an image, a file that is an image, an empty
# file or a link to nothing; beside the classes where there is no class.
_additions = st.tuples(
    st.sampled_from(_SPLITS),
    st.sampled_from(("", "a", "b", "c")),
    st.sampled_from((*_JUNK * 4, *_STRANGE, "x.png", "nested")),
    st.sampled_from(("folder", "image", "empty", "link")),
)
_changes = st.tuples(
    st.sampled_from(
        (
            *("touch", "move", "move", "swap", "swap", "replace", "remove", "add"),
            *("spell", "touch all", "remove split", "remove both", "junk"),
        )
    ),
    st.integers(0, 9),
    st.integers(0, 9),
)


@st.composite
def _cases(draw):
    names = draw(st.lists(st.sampled_from(_CLASSES), min_size=2, max_size=3))
    classes = {}
    for name in {"a": 0, "b": 0, **dict.fromkeys(names)} if draw(_most) else names:
        other = {_COMPOSED: _APART}.get(name, name)
        classes["train", name] = draw(_tree)
        classes["test", other if draw(st.booleans()) else name] = draw(_tree)
    additions = draw(st.lists(_additions, max_size=2))
    return classes, additions, draw(st.lists(_changes, max_size=3))


_most = st.sampled_from([True, True, True, False])
CASES = _cases()

_PLAIN = {
    (split, name): {"2.bmp": _IMAGES[index]}
    for split in _SPLITS
    for index, name in enumerate("ab")
}
# What was prepared was read after each of these; the last was two classes, or none.
PINNED = [
    (_PLAIN, [], [("move", 0, 1)]),
    (_PLAIN, [], [("swap", 0, 1)]),
    (_PLAIN, [], [("replace", 0, 1)]),
    (_PLAIN, [], [("touch all", 0, 0)]),
    (_PLAIN, [("train", "", "x.png", "image")], []),
    (_PLAIN, [("train", "", "@eaDir", "folder"), ("test", "a", "Thumbs.db", "e")], []),
    ({**_PLAIN, ("train", _COMPOSED): {}, ("test", _APART): {}}, [], []),
    (
        {**_PLAIN, ("train", _COMPOSED): _PLAIN["test", "a"]}
        | {("test", _APART): _PLAIN["test", "a"]},
        [],
        [("spell", 0, 0)],
    ),
]


def check(case) -> bool:
    """Whether the tree is taken at first; asserts that all is right, at each time."""
    classes, additions, changes = case
    tfds.disable_progress_bar()
    with (
        tempfile.TemporaryDirectory() as root,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        clock = _Clock()
        for (split, name), files in classes.items():
            os.makedirs(os.path.join(root, split, name), exist_ok=True)
            for file, content in files.items():
                clock.write(os.path.join(root, split, name, file), content)
        for addition in additions:
            _add(root, clock, *addition)
        before = _plain(root)
        taken = _check_read(root, before, before is not None)
        if not taken:
            assert not os.path.exists(os.path.join(root, "folder", "1.0.0")), case
            return False
        for change in changes:
            _change(root, clock, *change)
        gone = not any(os.path.exists(os.path.join(root, s)) for s in _SPLITS)
        now = before if gone else _plain(root)
        if not _check_read(root, now, now == before) and now is not None:
            shutil.rmtree(os.path.join(root, "folder", "1.0.0"))
            _check_read(root, now, True)
    return True


class _Clock:
    """Writes files, each at another time."""

    def __init__(self):
        self._time = 10**18

    def touch(self, path: str) -> None:
        self._time += 1
        os.utime(path, ns=(self._time, self._time))

    def write(self, path: str, content: bytes) -> None:
        with open(path, "wb") as file:
            file.write(content)
        self.touch(path)


def _add(root, clock, split, label, name, what) -> None:
    folder = os.path.join(root, split, label)
    path = os.path.join(folder, name)
    if not os.path.isdir(folder) or os.path.lexists(path):
        return
    if what == "folder":
        os.mkdir(path)
        clock.write(os.path.join(path, "0.png"), _IMAGES[0])
    elif what == "link":
        os.symlink("gone", path)
    else:
        clock.write(path, _IMAGES[0] if what == "image" else b"")


def _change(root, clock, what, first, second) -> None:
    """One change; of none, if there is nothing left to change."""
    paths = sorted(
        os.path.join(folder, name)
        for split in _SPLITS
        for folder, _, names in os.walk(os.path.join(root, split))
        for name in names
        if os.path.isfile(os.path.join(folder, name))
    )
    if not paths:
        return
    one, other = paths[first % len(paths)], paths[second % len(paths)]
    if what == "touch":
        clock.touch(one)
    elif what == "touch all":
        for path in paths:
            clock.touch(path)
    elif what == "move":
        os.rename(one, os.path.join(os.path.dirname(other), f"{second}.bmp"))
    elif what == "swap" and one != other:
        for source, target in ((one, "x"), (other, one), ("x", other)):
            os.rename(os.path.join(root, source), os.path.join(root, target))
    elif what == "replace":
        clock.write(one, _IMAGES[second % len(_IMAGES)])
    elif what == "remove":
        os.remove(one)
    elif what == "add":
        clock.write(f"{one}{second}.png", _IMAGES[second % len(_IMAGES)])
    elif what == "spell":
        _spell(os.path.join(root, _SPLITS[first % 2]))
    elif what == "junk":
        folder = os.path.dirname(one)
        clock.write(os.path.join(folder, "Thumbs.db"), b"new")
    elif what.startswith("remove "):
        for split in _SPLITS if what == "remove both" else _SPLITS[first % 2 :][:1]:
            shutil.rmtree(os.path.join(root, split), ignore_errors=True)


def _spell(split: str) -> None:
    """Writes a class in its other spelling."""
    for name, other in ((_COMPOSED, _APART), (_APART, _COMPOSED)):
        old, new = os.path.join(split, name), os.path.join(split, other)
        if os.path.isdir(old) and not os.path.exists(new):
            os.rename(old, new)
            return


def _plain(root: str) -> dict | None:
    """{(split, class, file): bytes}, or None of what has to be refused."""
    found, names = {}, {}
    for split in _SPLITS:
        top = os.path.join(root, split)
        names[split] = []
        for label in os.listdir(top) if os.path.isdir(top) else ():
            folder = os.path.join(top, label)
            if _is_junk(label):
                continue
            if not os.path.isdir(folder):
                if _is_image(label) or not os.path.exists(folder):
                    return None
                continue
            name = unicodedata.normalize("NFC", label)
            names[split].append(name)
            files = [file for file in os.listdir(folder) if not _is_junk(file)]
            for file in files:
                path = os.path.join(folder, file)
                if not os.path.isfile(path) or not _is_image(file):
                    return None
                with open(path, "rb") as opened:
                    found[split, name, file] = opened.read()
            if not files:
                return None
    train, test = map(sorted, names.values())
    if train != test or len(set(train)) < max(2, len(train)):
        return None
    return found if all(data in _IMAGES for data in found.values()) else None


def _is_junk(name: str) -> bool:
    return name in _JUNK or name.startswith(".")


def _is_image(name: str) -> bool:
    endings = ("jpg", "jpeg", "png", "webp", "bmp", "gif")
    return name.lower().endswith(tuple(f".{ending}" for ending in endings))


def _check_read(root: str, expected: dict | None, readable: bool) -> bool:
    """Whether the set is read; asserts that it may be, and what is read."""
    try:
        builder = prepared_builder("folder", root)
    except InputError as error:
        check_sentence(error, ["dataset.data_dir"])
        assert not readable, error
        return False
    assert readable, expected
    names = builder.info.features["label"].names
    assert names == sorted({name for _, name, _ in expected})
    for split in _SPLITS:
        records = open_records(builder, split)
        found = [(names[record["label"]], record["image"]) for record in records]
        lying = [(key[1], data) for key, data in expected.items() if key[0] == split]
        assert sorted(found) == sorted(lying)
    return True
