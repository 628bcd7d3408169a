"""Faults of JSON objects and of the bytes of a file."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

_STRANGE = (
    *(None, True, False, -1, 0, 1, 2, 3, 10**9, 10**30, -(10**30), 1.0, 1.5, 1e300),
    *(float("nan"), float("inf"), "", "x", "1", "é\n\ud800", [], [[]], [0], {}, [{}]),
)


def places(data: Any, path: tuple = ()) -> Iterator[tuple]:
    """The path of every value inside an object."""
    items = ()
    if isinstance(data, dict):
        items = data.items()
    elif isinstance(data, list):
        items = enumerate(data)
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


@st.composite
def faulty(draw, data: Any) -> Any:
    """The object with one fault, somewhere."""
    data = copy.deepcopy(data)
    found = list(places(data))
    if not found:
        return draw(st.sampled_from(_STRANGE))
    *path, last = draw(st.sampled_from(found))
    held = data
    for key in path:
        held = held[key]
    value, kind = held[last], draw(st.integers(0, 7))
    if kind == 0:
        del held[last]
    elif kind == 1 and isinstance(held, list):
        held.insert(last, copy.deepcopy(value))
    elif kind == 2 and isinstance(held, list):
        held[last], held[last - 1] = held[last - 1], held[last]
    elif kind == 3 and isinstance(held, dict):
        held[f"{last}{draw(st.sampled_from(['', 's', ' ']))}"] = held.pop(last)
    elif kind == 4:
        held[last] = copy.deepcopy(draw(st.sampled_from(_STRANGE)))
    elif kind == 5 and type(value) in (int, float):
        held[last] = value + draw(st.sampled_from([-2, -1, 1, 2, 0.0, 0.5, 1e9]))
    elif kind == 6:
        held[last] = [value]
    elif isinstance(held, dict):
        held[draw(st.sampled_from(["x", "step", "cost", ""]))] = value
    return data


@st.composite
def faulty_bytes(draw, content: bytes) -> bytes:
    """The bytes with a few faults: cut off, flipped, filled, removed, put in twice."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        end = at + draw(st.integers(1, 8))
        kind = draw(st.integers(0, 5))
        if kind == 0:
            content = content[:at]
        elif kind == 1:
            new = draw(st.binary(min_size=1, max_size=4))
            content = content[:at] + new + content[at + len(new) :]
        elif kind == 2:
            new = draw(st.sampled_from([b"0", b"9", b" ", b",", b'"', b"}", b"]"]))
            content = content[:at] + new + content[at:]
        elif kind == 3:
            content = content[:at] + bytes(end - at) + content[end:]
        elif kind == 4:
            content = content[:at] + content[end:]
        else:
            content = content[:end] + content[at:]
    return content


def parse(content: bytes) -> Any:
    """The value of a JSON text by the letter: no key twice, no NaN.

    Raises:
      ValueError: it is none.
    """
    return json.loads(
        content.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def same(first: Any, second: Any) -> bool:
    """Equal and of equal types all through: 1 is neither 1.0 nor true."""
    if type(first) is not type(second):
        return False
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(
            same(value, second[key]) for key, value in first.items()
        )
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second
