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
    [
        ([1, 2, 3], [4, 5, 9]),
        ([1, 5, 2, 9], [3, 4]),
        ([1, 1], [1, 2]),
        # Ties: 0.6425 and such are no binary fractions, and sums of them round.
        ([6425, 6391, 6402, 6391, 6388], [6391, 6370, 6402, 6388, 6360]),
        ([5, 6, 7, 7, 8], [4, 5, 5, 6, 7]),
    ],
)
@pytest.mark.parametrize("scale", [1, 1e-4, 1 / 15])
def test_p_counts_all_permutations(first, second, scale):
    """Those whose means differ as much, in whole numbers, so that nothing rounds."""
    values, size = [*first, *second], len(first)
    rest = len(second)

    def difference(chosen):
        one = sum(values[i] for i in chosen)
        return abs(one * rest - (sum(values) - one) * size)

    drawn = [difference(x) for x in itertools.combinations(range(len(values)), size)]
    seen = difference(range(size))
    expected = sum(own >= seen for own in drawn) / len(drawn)
    scaled = [[scale * x for x in own] for own in (first, second)]
    assert statistics.permutation_test(*scaled) == pytest.approx(expected)
    assert expected >= statistics.least_p(size, rest) - 1e-12


def test_the_least_p_is_that_of_samples_that_do_not_overlap():
    for first, second in ((3, 3), (4, 4), (2, 5), (5, 5)):
        low, high = list(range(first)), [100 + x for x in range(second)]
        p = statistics.permutation_test(low, high)
        assert p == pytest.approx(statistics.least_p(first, second))


def test_pairs_are_tested_by_the_signs_of_their_differences():
    first, second = [5.0, 7.0, 6.5, 8.0, 5.5], [4.0, 6.5, 5.0, 7.5, 3.5]
    found = statistics.compare_paired(first, second)
    own = np.subtract(first, second)
    drawn = [abs(np.dot(s, own)) for s in itertools.product((-1, 1), repeat=5)]
    assert found.p == pytest.approx(np.mean(np.array(drawn) >= own.sum() - 1e-9))
    assert found.p == statistics.least_p(5, 5, paired=True) == 2 / 32
    half = 2.776445 * own.std(ddof=1) / 5**0.5
    assert (found.mean, found.high) == pytest.approx((own.mean(), own.mean() + half))
    # What differs between runs, and not within them, is no noise here.
    assert statistics.compare(first, second).detectable > found.detectable


def test_five_against_five_that_do_not_overlap():
    found = statistics.compare([6, 7, 8, 9, 10], [1, 2, 3, 4, 5])
    assert found.p == pytest.approx(2 / 252)
    assert found.mean == 5
    assert found.low < 5 < found.high
    # Welch's, with equal spreads: 5 ± t(8) · sqrt(2.5 · 2/5).
    assert found.high == pytest.approx(5 + 2.306004 * 1.0, rel=1e-5)


def test_detectable_is_what_simulated_tests_find_four_times_of_five():
    values = [-1.5, -0.5, 0.0, 0.5, 1.5]
    spread = np.std(values, ddof=1)
    effect = statistics.compare(values, values).detectable / spread
    rng = np.random.default_rng(0)
    one = rng.normal(effect, 1, (4000, 5))
    two = rng.normal(0, 1, (4000, 5))
    pooled = np.sqrt((one.var(1, ddof=1) + two.var(1, ddof=1)) / 2)
    t = (one.mean(1) - two.mean(1)) / (pooled * np.sqrt(2 / 5))
    assert (t > 2.306004).mean() == pytest.approx(statistics.POWER, abs=0.02)
    # With fewer seeds it takes more.
    few = statistics.compare(values[1:4], values[1:4])
    assert few.detectable / np.std(values[1:4], ddof=1) > effect


def test_samples_without_spread_have_a_difference_and_no_power():
    found = statistics.compare([2, 2, 2], [1, 1, 1])
    assert (found.mean, found.low, found.high, found.detectable) == (1, 1, 1, None)
    assert statistics.compare([1.0], [2.0, 3.0]) is None


def test_a_trend_falls_with_the_dose():
    tau, p = statistics.trend([[9, 8, 10], [7, 6, 7], [3, 4, 2]])
    assert tau < -0.8
    assert p < 0.01
    flat, p = statistics.trend([[1, 2, 3], [2, 1, 3], [3, 1, 2]])
    assert abs(flat) < 0.3
    assert p > 0.3
    assert statistics.trend([[1, 1], [1, 1]]) == (0.0, 1.0)


def test_a_measure_that_tells_nothing_apart_ranks_nothing():
    assert statistics.kendall([0.1, 0.1, 0.1], [1, 2, 3]) == 0
    assert statistics.kendall([1, 3, 2, 4], [1, 2, 3, 4]) == pytest.approx(4 / 6)


def test_rank_correlation_knows_order_only():
    tau, low, high = statistics.rank_correlation([1, 2, 3, 4, 5], [1, 10, 11, 90, 91])
    assert tau == pytest.approx(1)
    assert low <= high <= 1 + 1e-9
    assert statistics.rank_correlation([1, 2, 3, 4], [4, 3, 2, 1])[0] == pytest.approx(
        -1
    )
