"""A verdict follows from the numbers by the rule that is written down."""

import pytest

from ifnas_jax.experiments import verdicts
from ifnas_jax.experiments.tables import number
from ifnas_jax.experiments.verdicts import OPEN, REFUTED, REPRODUCED, Claim


def claim(higher, lower, matters=2.0):
    return Claim("deeper", higher, lower, matters, number())


@pytest.mark.parametrize(
    ("higher", "lower", "verdict"),
    [
        ([18, 18, 17, 18, 18], [9, 12, 7, 10, 8], REPRODUCED),
        ([9, 12, 7, 10, 8], [18, 18, 17, 18, 18], REFUTED),  # the other way
        # No more than a difference that does not matter is left in the interval.
        ([10, 10.2, 9.8, 10, 10.1], [10, 10.1, 9.9, 10.2, 9.8], REFUTED),
        ([10, 14, 6, 12, 8], [9, 13, 5, 11, 7], OPEN),
        # Surely higher, and surely by less than would matter.
        ([10.5, 10.5, 10.6, 10.5, 10.4], [10, 10.1, 9.9, 10, 10], REFUTED),
        # Three against three can't be under 5 % (2 of 20), however far apart.
        ([18, 18.5, 19], [5, 5.5, 6], OPEN),
        ([5, 5], [5, 5], OPEN),
        # Two of which nothing is known but that they are alike, beside hundreds.
        ([9.0] * 100 + [10.0] * 400, [5, 5], OPEN),
        ([18], [5, 6, 7], "-"),
    ],
)
def test_verdict(higher, lower, verdict):
    assert verdicts.verdict(claim(higher, lower)) == verdict


def test_the_table_says_the_difference_its_test_and_the_power():
    shown = verdicts.claims_table(
        "t", [claim([18, 19, 17, 18, 20], [8, 9, 7, 8, 10]), claim([], [])]
    )
    row = dict(zip(shown.header, shown.rows[0], strict=True))
    assert row["seeds"] == "5, 5"
    assert row["difference"] == "10.0"
    assert row["exact p"] == f"{2 / 252:.3f}"
    assert row["verdict"] == REPRODUCED
    # d = 2.02 at five against five, times the deviation of 1.14.
    assert float(row["detectable"]) == pytest.approx(2.02 * 1.14, abs=0.06)
    assert shown.rows[1] == ["deeper", "0, 0", *["-"] * 6]


def test_a_caveat_stands_with_any_verdict_and_few_runs_detect_nothing():
    own = claim([18, 18, 17, 18, 18], [9, 12, 7, 10, 8])._replace(caveat="not settled")
    assert verdicts.verdict(own) == f"{REPRODUCED}; not settled"
    (row,) = verdicts.claims_table("t", [claim([18, 18.5, 19], [5, 5.5, 6])]).rows
    assert row[-2:] == ["none", OPEN]


def test_two_gates_of_one_network_are_pairs():
    """Five of five go one way, which signs can do by chance in 2 of 32 cases."""
    gates = [0.5, 0.6, 0.7, 0.55, 0.65], [0.4, 0.55, 0.6, 0.5, 0.5]
    own = Claim("pre-1 leads", *gates, 0.1, number(3), paired=True)
    (row,) = verdicts.claims_table("t", [own]).rows
    assert (row[1], row[4], row[-1]) == ("5", "0.062", OPEN)
