"""Means with intervals, exact tests, and what a number of seeds can show.

Seeds are few, so intervals are Student's and tests enumerate permutations. SciPy does
the work; it takes a while to import, so only who needs these imports this.
"""

import itertools
import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

LEVEL, POWER = 0.05, 0.8

# Beyond so many permutations a random sample of fewer, always the same, takes their
# place.
MOST, _SAMPLE = 200_000, 20_000


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
      p: of the two-sided permutation test; exact, unless there are over `MOST`
        permutations.
      detectable: the difference that a two-sided t test at 5 % would find with a power
        of 80 %, with samples of these sizes and their spread; None without any.
    """

    mean: float
    low: float
    high: float
    p: float
    detectable: float | None


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
    """Two independent samples, or None if one of them has fewer than two values."""
    if min(len(first), len(second)) < 2:
        return None
    one, two = np.asarray(first, float), np.asarray(second, float)
    mean, p = float(one.mean() - two.mean()), permutation_test(first, second)
    if one.std() == two.std() == 0:
        # No spread to infer from: only the permutations tell.
        return Difference(mean, mean, mean, p, None)
    # Welch's interval: of each mean its squared standard error.
    errors = [float(own.var(ddof=1)) / len(own) for own in (one, two)]
    scale, sizes = math.sqrt(sum(errors)), (len(one) - 1, len(two) - 1)
    freedom = sum(errors) ** 2 / sum(
        error**2 / size for error, size in zip(errors, sizes, strict=True)
    )
    half = float(stats.t.ppf(1 - LEVEL / 2, freedom)) * scale
    return Difference(mean, mean - half, mean + half, p, _detectable(scale, freedom))


def compare_paired(
    first: Sequence[float], second: Sequence[float]
) -> Difference | None:
    """Two values of each run, such as two gates; None of fewer than two runs.

    p is that of flipping the signs of the differences, all 2^n ways.
    """
    if len(first) < 2:
        return None
    own = np.asarray(first, float) - np.asarray(second, float)
    mean, std = float(own.mean()), float(own.std(ddof=1))
    p = _share_as_extreme(abs(own.sum()), _signed_sums(own))
    if std == 0:
        return Difference(mean, mean, mean, p, None)
    scale = std / math.sqrt(len(own))
    half = float(stats.t.ppf(1 - LEVEL / 2, len(own) - 1)) * scale
    least = _detectable(scale, len(own) - 1)
    return Difference(mean, mean - half, mean + half, p, least)


def permutation_test(first: Sequence[float], second: Sequence[float]) -> float:
    """The p that means differ as much, either way, if labels mean nothing.

    Exact: all ways to divide the values, unless there are over 200,000.
    """
    # SciPy's own test takes sums that differ by a rounding for different ones, and so
    # counts too few where values are tied.
    values = np.concatenate([np.asarray(first, float), np.asarray(second, float)])
    count, size = len(values), len(first)
    if math.comb(count, size) <= MOST:
        chosen = np.array(list(itertools.combinations(range(count), size)))
    else:
        order = np.random.default_rng(0).random((_SAMPLE, count)).argsort(axis=1)
        # With the division that was seen, so that no p is 0.
        chosen = np.concatenate([order[:, :size], [np.arange(size)]])
    # Of each division the first mean minus the second.
    sums = values[chosen].sum(axis=1)
    means = sums / size - (values.sum() - sums) / (count - size)
    seen = abs(float(np.mean(first)) - float(np.mean(second)))
    return _share_as_extreme(seen, means)


def least_p(first: int, second: int, paired: bool = False) -> float:
    """The smallest p that samples of these sizes can have."""
    if paired:
        return 2.0 ** (1 - first)
    # Where both are as large, the same division with labels exchanged is as extreme.
    return (1 + (first == second)) / math.comb(first + second, first)


def _share_as_extreme(seen: float, drawn: np.ndarray) -> float:
    slack = 1e-9 * max(1.0, float(np.abs(drawn).max()))
    return float(np.mean(np.abs(drawn) >= seen - slack))


def _signed_sums(values: np.ndarray) -> np.ndarray:
    if len(values) <= 17:
        signs = np.array(list(itertools.product((-1, 1), repeat=len(values))))
    else:
        signs = np.random.default_rng(0).choice((-1, 1), (_SAMPLE, len(values)))
        signs[0] = 1  # as it was seen
    return signs @ values


def _detectable(scale: float, freedom: int) -> float:
    """The smallest difference that a t test finds as often as `POWER` says.

    Args:
      scale: the standard error of the difference.
      freedom: degrees of it.
    """
    bound = stats.t.ppf(1 - LEVEL / 2, freedom)

    def missing(effect: float) -> float:
        # That it is found with the wrong sign is left out.
        return float(stats.nct.sf(bound, freedom, effect)) - POWER

    most = 1.0
    while missing(most) < 0:
        most *= 2
    return float(optimize.brentq(missing, 0.0, most)) * scale


def trend(groups: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Kendall's τ between a group's number and its values, and its two-sided p.

    Ties are counted as τ-b does; p is of 10,000 permutations of the values.
    """
    order = np.concatenate([[index] * len(own) for index, own in enumerate(groups)])
    values = np.concatenate([np.asarray(own, float) for own in groups])
    if len(set(values.tolist())) < 2:
        return 0.0, 1.0
    tau = stats.kendalltau(order, values).statistic
    # Concordant pairs less discordant ones: what ties divide it by, no permutation
    # changes.
    one, two = np.triu_indices(len(values), 1)
    signs = np.sign(order[two] - order[one])
    permuted = np.random.default_rng(0).permuted(np.tile(values, (9_999, 1)), axis=1)
    drawn = np.sign(permuted[:, two] - permuted[:, one]) @ signs
    seen = np.sign(values[two] - values[one]) @ signs
    return float(tau), (int((abs(drawn) >= abs(seen)).sum()) + 1) / (len(drawn) + 1)


def kendall(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's τ-b of two measures of the same things; 0 if one tells none apart."""
    if min(len(np.unique(first)), len(np.unique(second))) < 2:
        return 0.0
    return float(stats.kendalltau(first, second).statistic)


def rank_correlation(
    first: Sequence[float], second: Sequence[float]
) -> tuple[float, float, float]:
    """Kendall's τ of two measures of the same things, and its 95 % interval.

    By 2,000 bootstrap samples of the things, always the same.
    """
    one, two = np.asarray(first, float), np.asarray(second, float)
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(one), (2000, len(one)))
    taus = [kendall(one[own], two[own]) for own in drawn]
    low, high = np.quantile(taus, [LEVEL / 2, 1 - LEVEL / 2])
    return kendall(first, second), float(low), float(high)
