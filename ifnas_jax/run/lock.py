"""One run at a time in a workdir, wherever its processes and the workdir are.

`run.lock` says which process has the workdir, and changes as long as it lives. One
that is known to be dead, or has not changed for a while, stands in nobody's way.
"""

import json
import os
import socket
import sys
import threading
import time
import uuid
from typing import Any

from ifnas_jax import files, storage
from ifnas_jax.errors import InputError
from ifnas_jax.run.workdir import Workdir

_BEAT = 15.0  # seconds between changes
# Seconds without one, after which it is left over: a shared file system may show what
# was written a minute late.
_PATIENCE = 90.0
# Seconds after which of two that took it at once the later one has written, too.
_SETTLED = 2.0
_UNKNOWN = "unknown"  # when a process was started, where that is not shown
_HELD = {"token": str, "host": str, "pid": int, "machine": str, "started": str}


class Lock:
    """The lock of a workdir, which is there. Taken by `take`, until `release`."""

    def __init__(
        self,
        workdir: Workdir,
        beat: float = _BEAT,
        patience: float = _PATIENCE,
        settled: float = _SETTLED,
    ):
        """Does nothing yet; all times in seconds."""
        self._workdir, self._path = workdir, workdir.lock
        self._beat, self._patience, self._settled = beat, patience, settled
        self._own = {"token": uuid.uuid4().hex, **_describe_process()}
        self._count = 0
        self._released = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self) -> None:
        """Takes the lock, or that of a process which is gone.

        Raises:
          InputError: a process that lives has it.
          OSError: it can't be read or written.
        """
        if not self._create():
            self._await_end(self._read())
            self._put()
            time.sleep(self._settled)
        elif storage.in_bucket(self._path):
            time.sleep(self._settled)
        held = self._read()
        if not self._is_own(held):
            raise self._refusal(held)
        self._thread = threading.Thread(target=self._keep, daemon=True, name="lock")
        self._thread.start()

    def release(self) -> None:
        """Leaves the workdir to others."""
        self._released.set()
        if self._thread is not None:
            self._thread.join()
        try:
            if self._is_own(self._read()):
                storage.remove(self._path)
        except OSError:
            # One that is left over stands in nobody's way, and this may be on the way
            # out after a worse error.
            pass

    def _create(self) -> bool:
        """Writes the lock if there is none."""
        if storage.in_bucket(self._path):
            if storage.exists(self._path):
                return False
            self._put()
            return True
        try:
            with open(self._path, "x", encoding="utf-8") as file:
                file.write(self._text())
        except FileExistsError:
            return False
        return True

    def _put(self) -> None:
        """Writes the lock, whoever has it."""
        self._count += 1
        if storage.in_bucket(self._path):
            storage.write_text(self._path, self._text())
            return
        # Under a name that no other process has.
        temporary = f"{self._path}.{self._own['token']}"
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(self._text())
        os.replace(temporary, self._path)

    def _text(self) -> str:
        return json.dumps({**self._own, "count": self._count}) + "\n"

    def _read(self) -> bytes | None:
        """What the lock holds, None if there is none."""
        try:
            return storage.read_bytes(self._path)
        except FileNotFoundError:
            return None

    def _is_own(self, held: bytes | None) -> bool:
        return _parse(held).get("token") == self._own["token"]

    def _await_end(self, held: bytes | None) -> None:
        """Returns when the process that has the lock is known to be gone.

        Raises:
          InputError: it lives.
        """
        alive = _lives(_parse(held))
        if alive:
            raise self._refusal(held)
        if held is None or alive is False:
            return
        print(
            f"ifnas_jax: {self._workdir!r} was left by {_who(held)}, or that still "
            f"runs; looking for {self._patience:.0f} s ...",
            file=sys.stderr,
            flush=True,
        )
        end = time.monotonic() + self._patience
        while time.monotonic() < end:
            time.sleep(min(1.0, self._beat))
            now = self._read()
            if now is None:
                return
            if now != held:
                raise self._refusal(now)

    def _refusal(self, held: bytes | None) -> InputError:
        return InputError(
            f"--workdir {self._workdir!r} is in use by {_who(held)}; wait for that run "
            "or stop it, or name another folder."
        )

    def _keep(self) -> None:
        """Changes the lock, again and again; ends the process if another took it."""
        while not self._released.wait(self._beat):
            try:
                held = self._read()
                # What nobody wrote whole says of nobody that he took it.
                if not _parse(held) or self._is_own(held):
                    self._put()
                    continue
            except OSError:
                # It may pass; what counts is said by whoever writes that.
                continue
            print(
                f"ifnas_jax: {_who(held)} has taken --workdir {self._workdir!r}, since "
                "this run gave no sign of life; this one ends.",
                file=sys.stderr,
                flush=True,
            )
            # At once: what it would still write is the other's.
            os._exit(4)


def _parse(held: bytes | None) -> dict[str, Any]:
    """What a lock says; nothing if it is not whole."""
    try:
        return files.check_object(files.parse_json(held or b""), _HELD)
    except ValueError:
        return {}


def _who(held: bytes | None) -> str:
    found = _parse(held)
    if not found:
        return "another process"
    return f"process {found['pid']} on {found['host']}"


def _describe_process() -> dict[str, Any]:
    """This process, so that others can find out whether it lives."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "machine": _machine(),
        "started": _started(os.getpid()) or _UNKNOWN,
    }


def _lives(found: dict[str, Any]) -> bool | None:
    """Whether a process lives; None: it can't be told from here."""
    here = _describe_process()
    if not found or any(found[key] != here[key] for key in ("host", "machine")):
        return None
    try:
        os.kill(found["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # It is another user's.
    # Another process may have got its number since.
    started = _started(found["pid"])
    if started is None or found["started"] == _UNKNOWN:
        return None
    return started == found["started"]


def _machine() -> str:
    """A name for the processes that this one can see: of a boot, and of a container."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # There is no such thing here, or not for us.
        return socket.gethostname()


def _started(pid: int) -> str | None:
    """When a process of this machine was started; None: that is not shown here."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The second field is a name in brackets, which may hold anything.
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    # One that only its parent has yet to hear of is gone.
    return "" if fields[0] in "ZX" else fields[19]
