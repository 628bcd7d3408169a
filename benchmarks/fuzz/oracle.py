"""Which architecture files are valid, and what they cost: the format's rules anew.

Written from the definition of the format, of the spaces and of the networks, without
the code that reads them.
"""

import itertools

from ifnas_jax.architecture import cost
from ifnas_jax.spaces import make_space

OPS = ["sep_conv_3x3", "skip_connect"]
_KEYS = {"format", "version", "space", "num_precursors", "stages", "macro", "cost"}
_SIZES = {"width", "num_classes", "image_size", "channels"}
HALVINGS = {"imagenet": 8, "small": 1}
_MOST, _MOST_ENTRIES = 1000, 10_000


def _int(value, least: int, most: float = float("inf")) -> bool:
    return type(value) is int and least <= value <= most


def is_valid(data) -> bool:
    """Whether an object describes a network, its cost aside."""
    if not isinstance(data, dict) or data.keys() != _KEYS:
        return False
    named = (data["format"], data["version"]) == ("ifnas-architecture", 1)
    if not named or type(data["version"]) is not int or not _valid_macro(data):
        return False
    stages, precursors = data["stages"], data["num_precursors"]
    if not _int(precursors, 1, _MOST) or not isinstance(stages, list) or not stages:
        return False
    for stage in stages:
        if not isinstance(stage, dict) or stage.keys() != {"nodes", "edges"}:
            return False
        if not _int(stage["nodes"], 1, _MOST) or not isinstance(stage["edges"], list):
            return False
    nodes = [stage["nodes"] for stage in stages]
    if sum(nodes) * precursors > _MOST_ENTRIES:
        return False
    if data["space"] == "lchain":
        fits = len(stages) == 3
    else:
        count = 2 if data["space"] == "darts" else data["macro"]["cells"]
        fits = len(stages) == count and len(set(nodes)) == 1
        fits = fits and precursors <= nodes[0] + 1
    return fits and all(_valid_stage(data, stage) for stage in stages)


def _valid_macro(data) -> bool:
    macro, cells = data["macro"], data["space"] in ("darts", "goldnas")
    if not isinstance(macro, dict) or not (cells or data["space"] == "lchain"):
        return False
    if macro.keys() != _SIZES | {"stem"} | ({"cells"} if cells else set()):
        return False
    if cells and not (_int(macro["cells"], 3, _MOST) and _int(macro["width"], 1)):
        return False
    if cells and macro["width"] % 2:
        return False
    if not isinstance(macro["stem"], str) or macro["stem"] not in HALVINGS:
        return False
    whole = all(_int(macro[key], 1) for key in _SIZES)
    return whole and macro["image_size"] % (4 * HALVINGS[macro["stem"]]) == 0


def _valid_stage(data, stage) -> bool:
    cells, nodes = data["space"] != "lchain", stage["nodes"]
    first = -1 if cells else 0
    places = []
    for edge in stage["edges"]:
        if not isinstance(edge, dict) or edge.keys() != {"src", "dst", "ops"}:
            return False
        src, dst, ops = edge["src"], edge["dst"], edge["ops"]
        if not _int(src, first) or not _int(dst, 1, nodes):
            return False
        if not 1 <= dst - src <= data["num_precursors"]:
            return False
        if not isinstance(ops, list) or not ops or any(op not in OPS for op in ops):
            return False
        if len(ops) > len(set(ops)):
            return False
        places.append((dst, src))
    if any(a >= b for a, b in itertools.pairwise(places)):
        return False
    outputs = set(range(1, nodes + 1)) if cells else {nodes}
    written = {dst for dst, _ in places}
    read = {src for _, src in places if src > 0} | outputs
    if written != read:
        return False
    return data["space"] != "darts" or _keeps_two(data, stage, written)


def _keeps_two(data, stage, nodes) -> bool:
    """A node of a cell of DARTS keeps two inputs, with one operator each."""
    for node in nodes:
        ops = [edge["ops"] for edge in stage["edges"] if edge["dst"] == node]
        wanted = min(2, data["num_precursors"], node + 1)
        if [len(own) for own in ops] != [1] * wanted:
            return False
    return True


def count(data) -> dict:
    """What a valid object's "cost" has to be."""
    macro, chain = data["macro"], data["space"] == "lchain"
    width, size = macro["width"], macro["image_size"] // HALVINGS[macro["stem"]]
    cells = len(data["stages"]) if chain else macro["cells"]
    reductions = (1, 2) if chain else (cells // 3, 2 * cells // 3)
    total = _chain_parts(macro) if chain else _cell_parts(data)
    for position in range(cells):
        level = sum(position >= reduction for reduction in reductions)
        channels, pixels = width << level, (size >> level) ** 2
        strided = not chain and position in reductions
        shared = data["space"] == "darts"
        stage = data["stages"][int(strided) if shared else position]
        for edge in stage["edges"]:
            if "sep_conv_3x3" in edge["ops"]:
                total = _add(total, _seps(pixels, channels, channels, channels))
            if "skip_connect" in edge["ops"] and strided and edge["src"] <= 0:
                total = _add(total, _conv(pixels, channels, channels))
    depth = [_depth(data, stage) for stage in data["stages"]]
    return {"madds": total[0], "params": total[1], "depth": depth}


def _add(*costs):
    return sum(cost[0] for cost in costs), sum(cost[1] for cost in costs)


def _conv(pixels: int, inputs: int, outputs: int, kernel: int = 1):
    """A convolution and its batch norm."""
    weights = kernel * kernel * inputs * outputs
    return pixels * weights, weights + 2 * outputs


def _seps(pixels: int, *widths: int):
    """Separable convolutions in a row, each with its batch norm."""
    return _add(
        *(
            _add((pixels * 9 * inputs, 9 * inputs), _conv(pixels, inputs, outputs))
            for inputs, outputs in itertools.pairwise(widths)
        )
    )


def _chain_parts(macro):
    """Stem, inputs of the stages, head."""
    c, classes = macro["width"], macro["num_classes"]
    size = macro["image_size"] // HALVINGS[macro["stem"]]
    one, two, three = size**2, (size // 2) ** 2, (size // 4) ** 2
    if macro["stem"] == "small":
        stem = _conv(one, macro["channels"], c, 3)
    else:
        half, quarter = 16 * one, 4 * one
        stem = _add(
            _conv(half, macro["channels"], 32, 3),
            _add(_seps(half, 32, 48, 48), _conv(quarter, 32, 48)),
            _add(_seps(quarter, 48, c, c), _conv(one, 48, c)),
        )
    return _add(
        _add(stem, _seps(one, c, c)),
        _add(_seps(one, c, 2 * c), _conv(two, c, 2 * c)),
        _add(_seps(two, 2 * c, 4 * c), _conv(three, 2 * c, 4 * c)),
        _add(_seps(three, 4 * c, 16 * c), (0, 32 * c)),
        (16 * c * classes, 16 * c * classes + classes),
    )


def _cell_parts(data):
    """Of networks of cells, by the library: nothing else defines them."""
    macro = cost.Macro(**data["macro"])
    nodes, precursors = data["stages"][0]["nodes"], data["num_precursors"]
    made = make_space(data["space"], precursors, [nodes], macro.cells)
    return cost.fixed_cost(made, macro)


def _depth(data, stage) -> int:
    longest = {-1: 0, 0: 0}
    for edge in stage["edges"]:
        path = longest[edge["src"]] + 1
        longest[edge["dst"]] = max(path, longest.get(edge["dst"], 0))
    ends = longest if data["space"] != "lchain" else [stage["nodes"]]
    return max(longest[node] for node in ends)
