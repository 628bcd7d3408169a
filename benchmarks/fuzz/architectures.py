"""Files of an architecture: valid ones, with faults, and with torn bytes.

A case is what an `architecture.json` holds. It is read if and only if it is valid by
the rules of `oracle.py`, cost included; then it is what is written again.
"""

import copy
import json
import os
import tempfile

from hypothesis import strategies as st

from benchmarks.fuzz.faults import faulty, faulty_bytes, parse, same
from benchmarks.fuzz.harness import check_sentence
from benchmarks.fuzz.oracle import HALVINGS, OPS, count, is_valid
from ifnas_jax import architecture
from ifnas_jax.errors import InputError


@st.composite
def objects(draw):
    """A valid object, made without the library."""
    space = draw(st.sampled_from(["lchain", "darts", "goldnas"]))
    chain, cells = space == "lchain", draw(st.integers(3, 4))
    nodes = draw(st.integers(1, 3))
    counts = [nodes] * (2 if space == "darts" else cells)
    if chain:
        counts = draw(st.lists(st.integers(1, 5), min_size=3, max_size=3))
    precursors = draw(st.integers(1, 4 if chain else nodes + 1))
    macro = {
        "width": 2 * draw(st.integers(1, 9)),
        "num_classes": draw(st.integers(1, 20)),
        "image_size": draw(st.sampled_from([32, 64, 224])),
        "channels": draw(st.integers(1, 3)),
        "stem": draw(st.sampled_from(list(HALVINGS))),
    }
    data = {
        "format": "ifnas-architecture",
        "version": 1,
        "space": space,
        "num_precursors": precursors,
        "stages": [
            {"nodes": n, "edges": draw(_edges(n, precursors, space))} for n in counts
        ],
        "macro": macro | ({} if chain else {"cells": cells}),
    }
    return data | {"cost": count(data)}


@st.composite
def _edges(draw, nodes: int, precursors: int, space: str):
    """Inputs of the last node, and of all that are read; in a cell, of every node."""
    cells = space != "lchain"
    edges, wanted = [], set(range(1, nodes + 1)) if cells else {nodes}
    for dst in range(nodes, 0, -1):
        if dst not in wanted:
            continue
        sources = range(max(dst - precursors, -1 if cells else 0), dst)
        least = min(2, len(sources)) if space == "darts" else 1
        most = least if space == "darts" else len(sources)
        one = st.sampled_from([[op] for op in OPS])
        ops = one if space == "darts" else one | st.just(list(OPS))
        picks = st.sets(st.sampled_from(sources), min_size=least, max_size=most)
        for src in draw(picks):
            edges.append({"src": src, "dst": dst, "ops": draw(ops)})
            wanted |= {src} if src > 0 else set()
    return sorted(edges, key=lambda edge: (edge["dst"], edge["src"]))


@st.composite
def _cases(draw):
    data = draw(objects())
    for _ in range(draw(st.sampled_from([0, 1, 1, 2]))):
        _edit(data, draw)
    # What was edited together with its cost is told by the rest alone.
    if draw(st.integers(0, 3)) and is_valid(data):
        data["cost"] = count(data)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        data = draw(faulty(data))
    content = json.dumps(data).encode()
    return draw(faulty_bytes(content)) if draw(st.integers(0, 4)) == 0 else content


def _edit(data, draw) -> None:
    """What somebody who edits the file by hand may do to an edge or a size."""
    kind = draw(st.integers(0, 4))
    edges = draw(st.sampled_from(data["stages"]))["edges"]
    at = draw(st.integers(0, max(0, len(edges) - 1)))
    if kind == 0:
        key = draw(st.sampled_from(["width", "num_classes", "image_size", "channels"]))
        data["macro"][key] += draw(st.sampled_from([-1, 1, 2, 32]))
    elif kind == 1 and len(edges) > 1:
        del edges[at]
    elif edges and kind == 2:
        edges[at]["ops"] = draw(st.sampled_from([OPS[:1], OPS[1:], OPS[::-1]]))
    elif edges and kind == 3:
        end = draw(st.sampled_from(["src", "dst"]))
        edges[at][end] += draw(st.sampled_from([-1, 1]))
    else:
        new = {"src": draw(st.integers(-2, 4)), "dst": draw(st.integers(0, 5))}
        edges.append({**new, "ops": list(OPS[:1])})
        edges.sort(key=lambda edge: (edge["dst"], edge["src"]))


def _changed(**changes) -> bytes:
    """A plain chain of three nodes with some keys set, and its right cost."""
    stage = {"nodes": 1, "edges": [{"src": 0, "dst": 1, "ops": ["sep_conv_3x3"]}]}
    macro = {"width": 4, "num_classes": 10, "image_size": 32, "channels": 3}
    data = {
        "format": "ifnas-architecture",
        "version": 1,
        "space": "lchain",
        "num_precursors": 1,
        "stages": [copy.deepcopy(stage) for _ in range(3)],
        "macro": {**macro, "stem": "small"},
    }
    data["cost"] = count(data)
    return json.dumps(data | changes).encode()


CASES = _cases()
# What was read though it is not valid, until it was mended; and the like.
PINNED = [
    _changed(comment="x"),
    _changed().replace(b'"nodes": 1', b'"nodes": 1, "name": "x"'),
    _changed().replace(b'"src": 0', b'"src": 0, "weight": 1'),
    _changed().replace(b'"version": 1', b'"version": 2, "version": 1'),
    _changed(macro=json.loads("[" * 900 + "]" * 900)),
    _changed(cost={"madds": json.loads("[" * 900 + "]" * 900)}),
    _changed(
        space="goldnas",
        num_precursors=1000,
        stages=[{"nodes": 1000, "edges": []}] * 1000,
        macro={
            **{"width": 4, "num_classes": 10, "image_size": 32, "channels": 3},
            **{"stem": "small", "cells": 1000},
        },
    ),
]


def check(content: bytes) -> bool:
    """Whether a file is read; asserts that this is right, and what was read."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "architecture.json")
        with open(path, "wb") as file:
            file.write(content)
        try:
            found = architecture.load(path)
        except InputError as error:
            check_sentence(error, [path])
            found = None
    try:
        data = parse(content)
    except (ValueError, RecursionError):
        data = None
    valid = is_valid(data) and same(data["cost"], count(data))
    assert valid == (found is not None), content
    assert not valid or same(found.to_json(), data), content
    return valid
