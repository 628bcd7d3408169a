"""Means with intervals, exact tests, and what a number of seeds can show.

Seeds are few, so intervals are Student's and tests enumerate permutations. SciPy does
the work; it takes a while to import, so only who needs these imports this.
"""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

LEVEL, POWER = 0.05, 0.8

# Beyond so many permutations a random sample of them, always the same, takes their
# place.
_MOST = 200_000


class Mean(NamedTuple):
    """A mean over seeds.

    Attributes:
      mean: None of nothing.
      std: the sample standard deviation; None of one value.
      half: of the 95 % interval of the mean; None of one value.
      count: how many values there were.
    """

    mean: float | None
    std: float | None
    half: float | None
    count: int


class Difference(NamedTuple):
    """How much higher the first of two samples is.

    Attributes:
      mean: the difference of their means.
      low: the lower end of its 95 % interval (Welch's).
      high: the upper end.
      p: of the two-sided permutation test; exact, unless there are over 200,000
        permutations.
      detectable: the difference that a two-sided t test at 5 % would find with a power
        of 80 %, with samples of these sizes and their spread.
    """

    mean: float
    low: float
    high: float
    p: float
    detectable: float


def mean_of(values: Sequence[float]) -> Mean:
    """Mean, deviation and interval."""
    count = len(values)
    mean = statistics.mean(values) if count else None
    if count < 2:
        return Mean(mean, None, None, count)
    std = statistics.stdev(values)
    half = float(stats.t.ppf(1 - LEVEL / 2, count - 1)) * std / math.sqrt(count)
    return Mean(mean, std, half, count)


def compare(first: Sequence[float], second: Sequence[float]) -> Difference | None:
    """Two samples, or None if one of them has fewer than two values."""
    if min(len(first), len(second)) < 2:
        return None
    one, two = np.asarray(first, float), np.asarray(second, float)
    mean = float(one.mean() - two.mean())
    if one.std() == two.std() == 0:
        # No spread to infer from: only the permutations tell.
        return Difference(mean, mean, mean, permutation_test(first, second), 0.0)
    interval = stats.ttest_ind(one, two, equal_var=False).confidence_interval()
    pooled = math.sqrt((one.var(ddof=1) + two.var(ddof=1)) / 2)
    return Difference(
        mean,
        float(interval.low),
        float(interval.high),
        permutation_test(first, second),
        detectable(pooled, len(one), len(two)),
    )


def permutation_test(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p of the difference of two means, if labels mean nothing."""
    whole = math.comb(len(first) + len(second), len(first))
    found = stats.permutation_test(
        (np.asarray(first, float), np.asarray(second, float)),
        lambda x, y, axis: np.mean(x, axis=axis) - np.mean(y, axis=axis),
        n_resamples=np.inf if whole <= _MOST else _MOST,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)


def detectable(std: float, first: int, second: int) -> float:
    """The smallest difference of two means that is found as often as `POWER` says."""
    freedom = first + second - 2
    bound = stats.t.ppf(1 - LEVEL / 2, freedom)

    def missing(effect: float) -> float:
        # That it is found with the wrong sign is left out.
        return float(stats.nct.sf(bound, freedom, effect)) - POWER

    most = 1.0
    while missing(most) < 0:
        most *= 2
    effect = optimize.brentq(missing, 0.0, most)
    return float(effect * std * math.sqrt(1 / first + 1 / second))


def trend(groups: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Kendall's τ between a group's number and its values, and its two-sided p.

    Ties are counted as τ-b does; p is of 10,000 permutations of the values.
    """
    order = np.concatenate([[index] * len(own) for index, own in enumerate(groups)])
    values = np.concatenate([np.asarray(own, float) for own in groups])
    if len(set(values.tolist())) < 2:
        return 0.0, 1.0
    tau = stats.kendalltau(order, values).statistic
    rng, count = np.random.default_rng(0), 9_999
    drawn = [
        stats.kendalltau(order, rng.permutation(values)).statistic for _ in range(count)
    ]
    extreme = int((np.abs(drawn) >= abs(tau) - 1e-12).sum())
    return float(tau), (extreme + 1) / (count + 1)


def rank_correlation(
    first: Sequence[float], second: Sequence[float]
) -> tuple[float, float, float]:
    """Kendall's τ of two measures of the same things, and its 95 % interval.

    By 2,000 bootstrap samples of the things, always the same.
    """
    one, two = np.asarray(first, float), np.asarray(second, float)
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(one), (2000, len(one)))
    taus = [stats.kendalltau(one[own], two[own]).statistic for own in drawn]
    low, high = np.nanquantile(taus, [LEVEL / 2, 1 - LEVEL / 2])
    return float(stats.kendalltau(one, two).statistic), float(low), float(high)
