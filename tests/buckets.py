"""A fake bucket: gs:// as epath and Orbax see it, in a folder or in memory.

What no bucket can do, it refuses: appending, and reading what is still being written.
"""

import contextlib
import importlib
import os
import sys
import uuid

import fsspec
import pytest
from etils.epath import backend

BUCKET = "gs://fake"


class FolderBackend(backend._OsPathBackend):
    """The objects of a bucket, as the files of a folder."""

    def __init__(self, root):
        self.root = str(root)
        self.written = []  # names, in order

    def _at(self, path):
        path = os.fspath(path)
        if path.startswith(self.root):  # from the class above
            return path
        assert path.startswith("gs://"), path
        return os.path.join(self.root, path.removeprefix("gs://"))

    @contextlib.contextmanager
    def open(self, path, mode):
        assert mode.strip("b") in ("r", "w"), f"a bucket has no mode {mode}"
        place = self._at(path)
        if "r" in mode:
            with super().open(place, mode) as file:
                yield file
            return
        # There are no folders, and an object is there when it is closed.
        os.makedirs(os.path.dirname(place), exist_ok=True)
        part = f"{place}.{uuid.uuid4().hex}~"  # Such names are not listed.
        with super().open(part, mode) as file:
            yield file
        os.replace(part, place)
        self.written.append(os.path.relpath(place, self.root))

    def glob(self, path):
        found = super().glob(self._at(path))
        return [f"gs://{os.path.relpath(place, self.root)}" for place in found]

    def walk(self, top, **kwargs):
        raise AssertionError("a bucket is listed folder by folder")

    def exists(self, path):
        return super().exists(self._at(path))

    def isdir(self, path):
        return super().isdir(self._at(path))

    def listdir(self, path):
        return super().listdir(self._at(path))

    def makedirs(self, path, *, exist_ok=False, mode=None):
        super().makedirs(self._at(path), exist_ok=exist_ok)

    def mkdir(self, path, *, exist_ok=False, mode=None):
        super().makedirs(self._at(path), exist_ok=exist_ok)

    def rmtree(self, path):
        super().rmtree(self._at(path))

    def remove(self, path):
        super().remove(self._at(path))

    def rename(self, path, dst):
        super().rename(self._at(path), self._at(dst))

    def replace(self, path, dst):
        super().replace(self._at(path), self._at(dst))

    def copy(self, path, dst, overwrite):
        super().copy(self._at(path), self._at(dst), overwrite)

    def stat(self, path):
        return super().stat(self._at(path))


class MemoryBackend(backend._FileSystemSpecBackend):
    """epath's own back end for fsspec, with fsspec's memory in place of a bucket."""

    def __init__(self):
        self.memory = fsspec.filesystem("memory", skip_instance_cache=True)
        self.memory.store, self.memory.pseudo_dirs = {}, [""]

    def fs(self, path):
        return self.memory

    def open(self, path, mode):
        return super().open(path.removeprefix("gs:/"), mode)

    def exists(self, path):
        return super().exists(path.removeprefix("gs:/"))

    def isdir(self, path):
        return super().isdir(path.removeprefix("gs:/"))

    def listdir(self, path):
        return super().listdir(path.removeprefix("gs:/"))

    def makedirs(self, path, **kwargs):
        super().makedirs(path.removeprefix("gs:/"), **kwargs)

    def remove(self, path):
        super().remove(path.removeprefix("gs:/"))

    def stat(self, path):
        return super().stat(path.removeprefix("gs:/"))


def use(monkeypatch, fake):
    """Puts a fake where epath has TensorFlow's."""
    monkeypatch.setattr(backend, "tf_backend", fake)
    monkeypatch.setattr("ifnas_jax.storage._has_client", lambda: True)
    # It would ask Google what kind of bucket it is.
    monkeypatch.setattr("etils.epath.gpath._is_zonal_gcs_bucket", lambda name: False)
    return fake


def use_for_checkpoints(monkeypatch, root):
    """Gives Orbax and TensorStore the folder, too."""
    utils = "orbax.checkpoint._src.path.gcs_utils"

    def kvstore(path):
        place = os.path.join(root, path.removeprefix("gs://"))
        return {"driver": "file", "path": f"{place}/"}

    monkeypatch.setattr(f"{utils}.get_kvstore_for_gcs", kvstore)
    monkeypatch.setattr(
        f"{utils}.is_hierarchical_namespace_enabled", lambda path: False
    )


def main(argv):
    """Runs a command on the fake: ROOT MODULE ARGUMENTS."""
    root, module, *arguments = argv
    patch = pytest.MonkeyPatch()
    fake = use(patch, FolderBackend(root))
    use_for_checkpoints(patch, root)
    code = importlib.import_module(module).main(arguments)
    print(*fake.written, sep="\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
