"""Folders and buckets: what a flag or a field names, and files there, written whole.

What a run reads and writes goes through here, through Orbax or through TFDS. All use
etils' `epath`, to which a folder and gs://BUCKET/FOLDER are alike.
"""

import contextlib
import errno
import glob
import importlib.util
import os
import re
import stat
from collections.abc import Iterator
from typing import NamedTuple

from etils import epath

from ifnas_jax.errors import InputError, describe

BUCKET = "gs://"

# Bytes that no config, no architecture and no summary of a run comes near.
SMALL = 64 * 2**20

# Where an absolute path begins so, epath takes it for gs:// and so on.
_MISTAKEN = ("gs", "s3", "az", "hf")
_Local = type(epath.Path("."))


def named(field: str, value: str | os.PathLike, checkpoints: bool = False) -> str:
    """The path that a flag or a field names; nothing is opened.

    Args:
      field: its name, for errors.
      value: what the user gave.
      checkpoints: whether there are checkpoints in it.

    Raises:
      InputError: nothing here can read and write there.
    """
    text = os.fspath(value)
    scheme = re.match(r"([A-Za-z][\w+.-]*):/", text)
    if not text or "\0" in text:
        raise InputError(f"{field} is {text!r}, which names nothing; name a path.")
    if scheme and not text.startswith(BUCKET):
        raise InputError(
            f"{field} is {text!r}, but only folders and {BUCKET} are read and written; "
            "mount it as a folder, and name that."
        )
    if scheme:
        return _bucket_named(field, text, checkpoints)
    expanded = os.path.expanduser(text)
    if expanded.startswith("~"):
        raise InputError(
            f"{field} is {text!r}, but there is no such home folder; name one from / "
            "on, or write ./~ for what is so called."
        )
    whole = os.path.abspath(expanded)
    first = whole.split(os.sep)[1]
    if first in _MISTAKEN or "gs:/" in f"{whole}/":
        raise InputError(
            f"{field} is {text!r}, but libraries take {whole!r} for a bucket; use "
            "a folder of another name, such as a link in the home folder."
        )
    # TensorStore takes a backslash for a slash, and writes elsewhere.
    if checkpoints and ("\\" in whole or not is_utf8(whole)):
        raise InputError(
            f"{field} is {text!r}, but checkpoints can't be in {whole!r}: use a folder "
            "whose name is UTF-8 without a backslash."
        )
    return expanded


def is_utf8(text: str) -> bool:
    """Whether a name is UTF-8."""
    return text.encode(errors="replace").decode() == text


def _bucket_named(field: str, text: str, checkpoints: bool) -> str:
    if not re.match(rf"{BUCKET}[a-z0-9][\w.-]*(/|$)", text):
        raise InputError(
            f"{field} is {text!r}, which names no bucket; write {BUCKET}BUCKET/FOLDER."
        )
    parts = text.removeprefix(BUCKET).split("/")
    if re.search(r"[][*?#\r\n]", text) or {".", ".."} & set(parts):
        raise InputError(
            f"{field} is {text!r}, but libraries take *, ?, #, [, ], . and .. in the "
            "name of a bucket's folder for something else; name another one."
        )
    if checkpoints and not _has_client():
        raise InputError(
            f"{field} is {text!r}, but checkpoints in a bucket need the package google-"
            "cloud-storage; run pip install -e '.[gcs]', or mount the bucket as a "
            "folder and name that."
        )
    return text.rstrip("/")


def _has_client() -> bool:
    """Whether there is what Orbax lists a bucket's folders with."""
    try:
        return importlib.util.find_spec("google.cloud.storage") is not None
    except ModuleNotFoundError:  # of the package above it
        return False


def reached(field: str, value: str | os.PathLike, checkpoints: bool = False) -> str:
    """`named`; an InputError too where a bucket's client can't say what is there."""
    path = named(field, value, checkpoints)
    try:
        if in_bucket(path):
            exists(path)
    except OSError as error:
        raise InputError(
            f"{field} is {path!r}, which can't be reached ({error.strerror}); check "
            "its name, the credentials and the network, or mount the bucket as a "
            "folder and name that."
        ) from error
    return path


def in_bucket(path: str | os.PathLike) -> bool:
    """Whether a path is in a bucket, where files are written whole or not at all."""
    return os.fspath(path).startswith(BUCKET)


def absolute(path: str | os.PathLike) -> str:
    """The path from / on, or as it is in a bucket."""
    path = os.fspath(path)
    return path if in_bucket(path) else os.path.abspath(path)


class _Literal(_Local):
    """A folder whose own name may hold *, ? and [.

    epath's `glob` takes those for a pattern too, and Orbax, which looks so for the
    parts of a checkpoint, finds none and says that it is written.
    """

    def glob(self, pattern: str) -> Iterator["_Literal"]:
        names = sorted(glob.glob(pattern, root_dir=os.fspath(self)))
        return iter([self / name for name in names])


def literal(path: str | os.PathLike) -> epath.Path:
    """An absolute path whose `glob` takes nothing but its argument for a pattern."""
    path = absolute(path)
    return epath.Path(path) if in_bucket(path) else _Literal(path)


@contextlib.contextmanager
def system_errors(
    path: str | os.PathLike, known: tuple[type[Exception], ...] = (OSError,)
) -> Iterator[None]:
    """Raises what a bucket's client raises, of types of its own, as an OSError.

    Args:
      path: what is read or written.
      known: types that are raised as they are.
    """
    try:
        yield
    except known:
        raise
    except Exception as error:
        if not in_bucket(path):
            raise
        raise OSError(errno.EIO, describe(error), os.fspath(path)) from error


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Writes a file whole or not at all: a kill leaves the old one, or the new.

    Raises:
      OSError: it can't be written.
    """
    if in_bucket(path):
        # An object is there when all of it is.
        with system_errors(path):
            epath.Path(path).write_bytes(content)
        return
    temporary = f"{os.fspath(path)}.tmp"
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write_text(path: str | os.PathLike, text: str) -> None:
    """`write_bytes` of a text, as UTF-8."""
    write_bytes(path, text.encode())


def read_bytes(path: str | os.PathLike, limit: int | None = None) -> bytes:
    """What is in a file.

    Args:
      path: of a regular file, or of a pipe that is open, such as /dev/stdin.
      limit: the bytes that it may have, where a file without an end would be read for
        ever.

    Raises:
      OSError: it can't be read, is something else or has more bytes.
    """
    if not in_bucket(path):
        _check_kind(path)
    with system_errors(path), epath.Path(path).open("rb") as file:
        content = file.read(-1 if limit is None else limit + 1)
    if limit is not None and len(content) > limit:
        reason = f"it has more than {limit / 2**20:.0f} MB"
        raise OSError(errno.EFBIG, reason, os.fspath(path))
    return content


def _check_kind(path: str | os.PathLike) -> None:
    """Refuses what has no end, or nobody who writes to it, before it is opened."""
    mode = os.stat(path).st_mode
    # One that has no name in a folder: whoever started this process writes to it.
    opened = os.path.realpath(path).startswith(("/proc/", "/dev/fd/"))
    if stat.S_ISREG(mode) or (stat.S_ISFIFO(mode) and opened):
        return
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    raise OSError(errno.EINVAL, "it is no regular file", os.fspath(path))


def exists(path: str | os.PathLike) -> bool:
    """Whether there is a file or a folder."""
    with system_errors(path):
        return epath.Path(path).exists()


def is_file(path: str | os.PathLike) -> bool:
    """Whether there is a file."""
    with system_errors(path):
        return epath.Path(path).is_file()


def make_folder(path: str | os.PathLike) -> None:
    """Makes a folder, and those above it, if it is not there."""
    with system_errors(path):
        epath.Path(path).mkdir(parents=True, exist_ok=True)


def names_in(folder: str | os.PathLike) -> list[str]:
    """The names of what is in a folder, sorted; none if there is no folder."""
    with system_errors(folder):
        if not epath.Path(folder).is_dir():
            return []
        return sorted(path.name for path in epath.Path(folder).iterdir())


def remove(path: str | os.PathLike) -> None:
    """Removes a file."""
    with system_errors(path):
        epath.Path(path).unlink()


def rename(path: str | os.PathLike, new: str | os.PathLike) -> None:
    """Renames a file or a folder, which in a bucket means copying it."""
    with system_errors(path):
        epath.Path(path).rename(new)


def modified(path: str | os.PathLike) -> float:
    """When a file was written, in seconds."""
    if not in_bucket(path):
        return os.path.getmtime(path)
    with system_errors(path):
        return epath.Path(path).stat().mtime


class Facts(NamedTuple):
    """What is known of a file or a folder without reading it."""

    is_folder: bool
    is_file: bool
    size: int
    modified: int  # in nanoseconds; in a bucket, of whole seconds


def facts(path: str | os.PathLike) -> Facts:
    """Of a file, a folder, or what a link leads to.

    Raises:
      OSError: there is none.
    """
    if in_bucket(path):
        with system_errors(path):
            found = epath.Path(path).stat()
        folder = found.is_directory
        return Facts(folder, not folder, found.length or 0, found.mtime * 10**9)
    found = os.stat(path)
    folder, file = stat.S_ISDIR(found.st_mode), stat.S_ISREG(found.st_mode)
    return Facts(folder, file, found.st_size, found.st_mtime_ns)
