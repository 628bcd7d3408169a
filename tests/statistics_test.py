"""Against brute force, simulation and published numbers."""

import itertools
import statistics as stdlib

import numpy as np
import pytest

from ifnas_jax import statistics


def test_mean_and_interval_are_students():
    found = statistics.mean_of([1.0, 2.0, 4.0])
    assert found.mean == pytest.approx(7 / 3)
    assert found.std == pytest.approx(stdlib.stdev([1, 2, 4]))
    # The 97.5 % quantile with two degrees of freedom, from a table.
    assert found.half == pytest.approx(4.302653 * found.std / 3**0.5, rel=1e-6)
    assert statistics.mean_of([3.0]) == (3.0, None, None, 1)
    assert statistics.mean_of([]) == (None, None, None, 0)


@pytest.mark.parametrize(
    ("first", "second"),
    [([1, 2, 3], [4, 5, 9]), ([0.1, 0.5, 0.2, 0.9], [0.3, 0.4]), ([1, 1], [1, 2])],
)
def test_p_counts_all_permutations(first, second):
    """Twice the smaller of both tails, at most 1."""
    values = [*first, *second]
    seen = np.mean(first) - np.mean(second)
    drawn = []
    for chosen in itertools.combinations(range(len(values)), len(first)):
        one = [values[i] for i in chosen]
        two = [values[i] for i in range(len(values)) if i not in chosen]
        drawn.append(np.mean(one) - np.mean(two))
    drawn = np.array(drawn)
    tails = (drawn >= seen - 1e-9).mean(), (drawn <= seen + 1e-9).mean()
    expected = min(1.0, 2 * min(tails))
    assert statistics.permutation_test(first, second) == pytest.approx(expected)


def test_five_against_five_that_do_not_overlap():
    found = statistics.compare([6, 7, 8, 9, 10], [1, 2, 3, 4, 5])
    assert found.p == pytest.approx(2 / 252)
    assert found.mean == 5
    assert found.low < 5 < found.high
    # Welch's, with equal spreads: 5 ± t(8) · sqrt(2.5 · 2/5).
    assert found.high == pytest.approx(5 + 2.306004 * 1.0, rel=1e-5)


def test_detectable_is_what_simulated_tests_find_four_times_of_five():
    effect = statistics.detectable(1.0, 5, 5)
    rng, found, count = np.random.default_rng(0), 0, 4000
    one = rng.normal(effect, 1, (count, 5))
    two = rng.normal(0, 1, (count, 5))
    pooled = np.sqrt((one.var(1, ddof=1) + two.var(1, ddof=1)) / 2)
    t = (one.mean(1) - two.mean(1)) / (pooled * np.sqrt(2 / 5))
    found = (t > 2.306004).mean()
    assert found == pytest.approx(statistics.POWER, abs=0.02)
    # With fewer seeds it takes more.
    assert statistics.detectable(1.0, 2, 2) > statistics.detectable(1.0, 3, 3) > effect


def test_samples_without_spread_have_a_difference_and_no_power():
    found = statistics.compare([2, 2, 2], [1, 1, 1])
    assert (found.mean, found.low, found.high) == (1, 1, 1)
    assert statistics.compare([1.0], [2.0, 3.0]) is None


def test_a_trend_falls_with_the_dose():
    tau, p = statistics.trend([[9, 8, 10], [7, 6, 7], [3, 4, 2]])
    assert tau < -0.8
    assert p < 0.01
    flat, p = statistics.trend([[1, 2, 3], [2, 1, 3], [3, 1, 2]])
    assert abs(flat) < 0.3
    assert p > 0.3
    assert statistics.trend([[1, 1], [1, 1]]) == (0.0, 1.0)


def test_rank_correlation_knows_order_only():
    tau, low, high = statistics.rank_correlation([1, 2, 3, 4, 5], [1, 10, 11, 90, 91])
    assert tau == 1
    assert low <= high <= 1
    assert statistics.rank_correlation([1, 2, 3, 4], [4, 3, 2, 1])[0] == -1
