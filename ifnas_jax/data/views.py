"""Examples of other sources, picked or joined; nothing is copied."""

from collections.abc import Sequence
from typing import Any

import numpy as np


class Picked(Sequence):
    """Some of the examples of a source, by their indices."""

    def __init__(self, source: Sequence, indices: np.ndarray):
        self._source, self.indices = source, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self._source[int(self.indices[index])]


class Joined(Sequence):
    """The examples of several sources, one source after the other."""

    def __init__(self, *sources: Sequence):
        self._sources = sources

    def __len__(self) -> int:
        return sum(len(source) for source in self._sources)

    def __getitem__(self, index: int) -> Any:
        for source in self._sources:
            if index < len(source):
                return source[index]
            index -= len(source)
        raise IndexError(index)
