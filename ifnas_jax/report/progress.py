"""A progress line: where a job is, what it measures, and when it will be done."""

import collections
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import TextIO

_WINDOW = 30.0  # seconds of recent steps that speed and ETA come from
_TERMINAL_INTERVAL = 0.1  # seconds between lines that overwrite each other
_PLAIN_INTERVAL = 5.0  # seconds between lines that stay

# How a narrow terminal says fields in fewer letters.
_SHORTER = {
    "group": (("group ", "g"), ("whole", "all")),
    "accuracy": (("acc ", ""),),
    "madds": ((" MAdds", ""),),
    "speed": ((" it/s", "/s"), (" s/it", "s")),
}

# Fields that a narrower one goes without, in this order.
_SPARED = (
    *("valid", "group", "speed", "accuracy", "epoch"),
    *("phase", "edges", "loss", "test", "madds", "eta"),
)


class Progress:
    """Shows the progress of a job with a known number of steps.

    On a terminal one line is rewritten; elsewhere a plain line is printed at most
    every 5 seconds, except for the first and the last. The first update is where
    counting starts, be it after compiling or at a resumed step.

        with Progress("search", 3000) as progress:
            progress.update(step, phase="prune", group="group 2", loss="loss 0.513")
    """

    def __init__(
        self,
        name: str,
        total: int,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._name = name
        self._total = total
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._terminal = self._stream.isatty()
        self._recent: collections.deque[tuple[float, int]] = collections.deque()
        self._last_shown: float | None = None
        self._fields: dict[str, str] = {}  # of the latest update
        self._pending = False  # it was not shown

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *unused) -> None:
        self.close()

    def update(self, step: int, **fields: str) -> None:
        """Says that `step` steps are done.

        Args:
          step: of `total`.
          **fields: texts, shown as they are and in this order; empty ones are left
            out. By their names a narrow terminal chooses which to go without.
        """
        now = self._clock()
        self._recent.append((now, step))
        while len(self._recent) > 2 and now - self._recent[1][0] >= _WINDOW:
            self._recent.popleft()
        width = len(str(self._total))
        shown = {"name": self._name, "step": f"{step:{width}d}/{self._total}"}
        shown |= fields | self._speed(step)
        self._fields = {name: text for name, text in shown.items() if text}
        self._pending = True
        interval = _TERMINAL_INTERVAL if self._terminal else _PLAIN_INTERVAL
        if (
            self._last_shown is None
            or now - self._last_shown >= interval
            or step >= self._total
        ):
            self._last_shown = now
            self._show()

    def note(self, text: str) -> None:
        """Prints a line that stays, above the progress line."""
        if self._terminal:
            self._stream.write("\r\x1b[K")
        self._stream.write(f"{text}\n")
        if self._terminal and self._fields:
            self._show()
        self._stream.flush()

    def close(self) -> None:
        """Shows the latest update, if it was not, and ends the line."""
        if self._pending:
            self._show()
        if self._terminal and self._fields:
            self._stream.write("\n")
            self._stream.flush()
        self._fields = {}

    def _show(self) -> None:
        self._pending = False
        if self._terminal:
            self._stream.write(f"\r\x1b[K{self._fitted()}")
        else:
            self._stream.write("  ".join(self._fields.values()) + "\n")
        self._stream.flush()

    def _fitted(self) -> str:
        """The line, without what the terminal's width has no room for."""
        # A line that fills the last column would wrap.
        columns = _columns(self._stream) - 1
        forms, fields = [self._fields], _shortened(self._fields)
        for spared in ("", *_SPARED):
            fields.pop(spared, None)
            forms.append(dict(fields))
        for form in forms:
            for gap in ("  ", " "):
                line = gap.join(form.values())
                if len(line) <= columns:
                    return line
        return f"{line[: columns - 1]}…"

    def _speed(self, step: int) -> dict[str, str]:
        """Steps a second and the time that is left, once they are known."""
        (start, first), (end, last) = self._recent[0], self._recent[-1]
        if last <= first or end <= start:
            return {}
        rate = (last - first) / (end - start)
        left = (self._total - step) / rate
        return {"speed": _rate(rate), "eta": f"ETA {countdown(left)}"}


def _columns(stream: TextIO) -> int:
    """Of the terminal that the stream goes to."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except OSError:  # It has no file, or a file that is no terminal.
        columns = 0
    return columns or shutil.get_terminal_size().columns


def _shortened(fields: Mapping[str, str]) -> dict[str, str]:
    """The same in fewer letters."""
    shorter = dict(fields)
    for name, words in _SHORTER.items():
        for long, short in words:
            if name in shorter:
                shorter[name] = shorter[name].replace(long, short)
    return shorter


def _rate(rate: float) -> str:
    if rate >= 10:
        return f"{rate:.0f} it/s"
    return f"{rate:.1f} it/s" if rate >= 1 else f"{1 / rate:.1f} s/it"


def countdown(seconds: float) -> str:
    """1:32, 2h05 or 3d04h."""
    minutes, second = divmod(max(0, round(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    if not hours:
        return f"{minute}:{second:02d}"
    days, hour = divmod(hours, 24)
    if not days:
        return f"{hour}h{minute:02d}"
    return f"{days}d{hour:02d}h"
