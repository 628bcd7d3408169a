import dataclasses

import numpy as np
import pytest

from ifnas_jax.architecture import cost
from ifnas_jax.errors import InputError
from ifnas_jax.spaces import darts, lchain

TARGET = cost.Macro(64, 1000, 224, 3, "imagenet")
CHAIN = lchain(1)


def test_cost_of_the_plain_chain():
    kept = [stage & [True, False] for stage in CHAIN.full()]
    assert cost.network_cost(CHAIN, TARGET, kept) == (524_296_960, 4_747_624)


@pytest.mark.parametrize(
    ("width", "precursors", "madds"),
    [
        (64, 4, 1_566_251_776),
        (64, 6, 2_156_647_680),
        (64, 8, 2_663_651_072),
        (16, 4, 190_720_960),
        (16, 6, 235_960_896),
        (16, 8, 274_803_392),
    ],
)
def test_madds_of_the_whole_super_network(width, precursors, madds):
    space = lchain(precursors)
    macro = dataclasses.replace(TARGET, width=width)
    total = cost.network_cost(space, macro, space.full())
    assert total.madds == madds


def test_cost_of_one_operator_in_each_stage():
    # 2 · size² · (9c + c²) MAdds, 2 · (9c + c² + 2c) parameters; the identity is free.
    space = lchain(2, (3, 1, 1))
    expected = ((7_325_696, 9_600), (6_874_112, 35_584), (6_648_320, 136_704))
    costs = cost.pair_costs(space, TARGET)
    for own, full, sep in zip(costs, space.full(), expected, strict=True):
        for values, price in zip(own, sep, strict=True):
            assert np.array_equal(values * full, full * [price, 0])


def test_small_stem_by_hand():
    # C = 2, 8×8 pixels of 1 channel, 3 classes: stages of 8, 4 and 2 pixels.
    madds = (
        64 * 9 * 2  # 3×3 convolution 1→2
        + 64 * (9 * 2 + 2 * 2)  # input of stage 1: sep 2→2
        + 64 * (9 * 2 + 2 * 4)  # input of stage 2: sep 2→4 before its pooling
        + 16 * 2 * 4  # and its shortcut
        + 16 * (9 * 4 + 4 * 8)  # input of stage 3: sep 4→8
        + 4 * 4 * 8  # and its shortcut
        + 4 * (9 * 8 + 8 * 32)  # sep 8→32
        + 32 * 3  # classifier
    )
    params = (
        (9 * 2 + 2 * 2)
        + (9 * 2 + 2 * 2 + 2 * 2)
        + (9 * 2 + 2 * 4 + 2 * 4)
        + (2 * 4 + 2 * 4)
        + (9 * 4 + 4 * 8 + 2 * 8)
        + (4 * 8 + 2 * 8)
        + (9 * 8 + 8 * 32 + 2 * 32)
        + 2 * 32  # the batch norm after the last sep
        + (32 * 3 + 3)
    )
    macro = cost.Macro(2, 3, 8, 1, "small")
    assert cost.fixed_cost(CHAIN, macro) == (madds, params)
    parts = cost.fixed_parts(CHAIN, macro)
    head = 4 * (9 * 8 + 8 * 32) + 32 * 3
    told = [own.madds for own in parts.values()]
    assert told == [64 * 9 * 2, madds - 64 * 9 * 2 - head, head]


def test_three_cells_by_hand():
    # C = 2, 8×8 pixels of 1 channel, 3 classes, cells of 2 nodes: N, R, R.
    space, macro = darts(2, 3), cost.Macro(2, 3, 8, 1, "small", cells=3)
    madds = (
        64 * 9 * 6  # stem: 3×3 convolution 1→6
        + 64 * 6 * 2 * 2  # the normal cell's two inputs from it
        + 64 * 6 * 4  # first reduction: from the stem
        + 64 * 4 * 4  # and from the normal cell, of 2 nodes at width 2
        + 16 * 4 * 8  # second reduction: from the normal cell, halved on the way
        + 16 * 8 * 8  # and from the first, of 2 nodes at width 4
        + 16 * 3  # classifier
    )
    params = (
        (9 * 6 + 2 * 6)
        + 2 * (6 * 2 + 2 * 2)
        + (6 * 4 + 2 * 4)
        + (4 * 4 + 2 * 4)
        + (4 * 8 + 2 * 8)
        + (8 * 8 + 2 * 8)
        + (16 * 3 + 3)
    )
    assert cost.fixed_cost(space, macro) == (madds, params)
    stem, _, head = (own.madds for own in cost.fixed_parts(space, macro).values())
    assert (stem, head) == (64 * 9 * 6, 16 * 3)
    normal, reduction = cost.pair_costs(space, macro)
    # Edge (0, 1) once at 8 pixels; edge (1, 2), after a reduction, at 4 and at 2.
    sep = 2 * 64 * (9 * 2 + 2 * 2), 2 * (9 * 2 + 2 * 2 + 2 * 2)
    assert tuple(values[0, 0].tolist() for values in normal) == (
        *([sep[0], 0], [sep[1], 0]),
    )
    inner = (
        2 * (16 * (9 * 4 + 4 * 4) + 4 * (9 * 8 + 8 * 8)),
        2 * (9 * 4 + 4 * 4 + 2 * 4) + 2 * (9 * 8 + 8 * 8 + 2 * 8),
    )
    assert tuple(values[1, 0].tolist() for values in reduction) == (
        *([inner[0], 0], [inner[1], 0]),
    )
    # From a reduction's input the identity halves: two 1×1 convolutions and a norm.
    skip = 16 * 4 * 4 + 4 * 8 * 8, 4 * 4 + 2 * 4 + 8 * 8 + 2 * 8
    assert tuple(values[0, 0].tolist() for values in reduction) == (
        *([inner[0], skip[0]], [inner[1], skip[1]]),
    )


def test_the_large_stem_of_cells_by_hand():
    space = darts(1, 2)
    small, large = (
        cost.fixed_cost(space, cost.Macro(8, 3, size, 3, stem, cells=3))
        for size, stem in ((8, "small"), (64, "imagenet"))
    )
    # 3→4 at 32 pixels, 4→8 at 16, 8→8 at 8; the small one has 3→24 at 8.
    stem = 32**2 * 9 * 3 * 4 + 16**2 * 9 * 4 * 8 + 8**2 * 9 * 8 * 8
    # Its outputs have 8 channels, not 24, and the first of them twice the pixels.
    inputs = 8**2 * (8 * 8 + 8 * 8 + 8 * 16)
    assert large.madds - small.madds == stem + inputs - 8**2 * (
        9 * 3 * 24 + 24 * 8 + 24 * 8 + 24 * 16
    )


def test_classes_only_change_the_classifier():
    a, b = (
        cost.fixed_cost(CHAIN, dataclasses.replace(TARGET, num_classes=n))
        for n in (100, 1000)
    )
    assert b.madds - a.madds == 1024 * 900
    assert b.params - a.params == 1025 * 900


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 0),
        ("num_classes", True),
        ("image_size", 1.5),
        ("channels", "3"),
        ("stem", "big"),
        ("image_size", 200),
    ],
)
def test_impossible_sizes_are_refused_by_name(field, value):
    sizes = {
        "width": 64,
        "num_classes": 10,
        "image_size": 224,
        "channels": 3,
        "stem": "imagenet",
    }
    with pytest.raises(InputError, match=field):
        cost.Macro(**sizes | {field: value})


def test_unknown_operator_is_refused():
    with pytest.raises(InputError, match="'pool' is unknown"):
        cost.pair_costs(lchain(1, operators=("skip_connect", "pool")), TARGET)
