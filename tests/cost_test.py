import numpy as np
import pytest

from ifnas_jax import cost
from ifnas_jax.errors import InputError
from ifnas_jax.spaces.lchain import OPERATORS, PAPER_NODES, lchain

TARGET = cost.Macro(64, 1000, 224, 3, "imagenet")


def chain(macro, nodes=PAPER_NODES):
    kept = [np.tile([True, False], (n, 1)) for n in nodes]
    return cost.network_cost(macro, OPERATORS, kept)


def test_cost_of_the_plain_chain():
    assert chain(TARGET) == (524_296_960, 4_747_624)


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
    kept = space.full()
    total = cost.network_cost(TARGET.at_width(width), space.operators, kept)
    assert total.madds == madds


def test_cost_of_one_operator_in_each_stage():
    # 2 · size² · (9c + c²) MAdds, 2 · (9c + c² + 2c) parameters; the identity is free.
    assert cost.operator_costs(TARGET, OPERATORS) == [
        [(7_325_696, 9_600), (0, 0)],
        [(6_874_112, 35_584), (0, 0)],
        [(6_648_320, 136_704), (0, 0)],
    ]


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
    assert cost.fixed_cost(cost.Macro(2, 3, 8, 1, "small")) == (madds, params)


def test_classes_only_change_the_classifier():
    a, b = (cost.fixed_cost(cost.Macro(64, n, 224, 3, "imagenet")) for n in (100, 1000))
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
        cost.operator_costs(TARGET, ("skip_connect", "pool"))
