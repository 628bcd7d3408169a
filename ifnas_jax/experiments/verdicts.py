"""What a sweep says of a claim: reproduced, not reproduced, or not resolvable here.

The rule is fixed before the runs. A claim says that one setting's number is higher than
another's, by at least so much that it would matter. It is not reproduced if the 95 %
interval of the difference excludes one that would matter, or if the exact p is under
0.05 and the difference goes the other way; reproduced if p is under 0.05 and it goes
that way; else it is not resolvable with these runs, and neither where they are fewer
than four or too few for a p under 0.05. The table says which difference they would have
found four times of five.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ifnas_jax import statistics
from ifnas_jax.experiments.tables import Table, probability

REPRODUCED, REFUTED, OPEN = "reproduced", "not reproduced", "not resolvable here"


# Beside a sample of hundreds, p alone would let two runs speak.
_FEWEST = 4


class Claim(NamedTuple):
    """That one sample is higher than another.

    Attributes:
      text: in words.
      higher: the values that are to be higher.
      lower: the others.
      matters: the smallest difference that would matter.
      show: how a value is shown.
      paired: whether both have a value of each run, in the same order.
      caveat: what is to be said with any verdict; may be empty.
    """

    text: str
    higher: Sequence[float]
    lower: Sequence[float]
    matters: float
    show: Callable[[float], str]
    paired: bool = False
    caveat: str = ""


def verdict(claim: Claim) -> str:
    """By the rule above; a dash where fewer than two seeds are done."""
    found = _difference(claim)
    if found is None:
        return "-"
    told = _verdict(claim, found)
    return f"{told}; {claim.caveat}" if claim.caveat else told


def _verdict(claim: Claim, found: statistics.Difference) -> str:
    if _is_small(claim):
        return OPEN
    significant = found.p < statistics.LEVEL
    if found.high < claim.matters or (significant and found.mean < 0):
        return REFUTED
    return REPRODUCED if significant else OPEN


def _difference(claim: Claim) -> statistics.Difference | None:
    compare = statistics.compare_paired if claim.paired else statistics.compare
    return compare(claim.higher, claim.lower)


def _is_small(claim: Claim) -> bool:
    """Whether there are too few runs to say anything, or for a p under 5 %."""
    sizes = len(claim.higher), len(claim.lower)
    too_few = statistics.least_p(*sizes, claim.paired) >= statistics.LEVEL
    return too_few or min(sizes) < _FEWEST


def claims_table(title: str, claims: Sequence[Claim]) -> Table:
    """A row for each claim: the difference, its interval, the test, the power."""
    header = ["claim", "seeds", "difference", "95 % interval", "exact p"]
    header += ["would matter", "detectable", "verdict"]
    note = (
        "Two-sided permutation tests (of two gates of one network: sign flips); "
        "intervals by Welch or Student. Detectable: what a t test at 5 % finds with a "
        "power of 80 % at this spread; none, if there are fewer than four runs on a "
        "side or no result of so few can be under 5 %. "
        "p is not corrected for the number of claims."
    )
    return Table(title, header, list(map(_row, claims)), note)


def _row(claim: Claim) -> list[str]:
    found = _difference(claim)
    sizes = {len(claim.higher), len(claim.lower)} if claim.paired else ()
    runs = ", ".join(map(str, sizes or (len(claim.higher), len(claim.lower))))
    if found is None:
        return [claim.text, runs, *["-"] * 6]
    least = "-" if found.detectable is None else claim.show(found.detectable)
    return [
        claim.text,
        runs,
        claim.show(found.mean),
        f"{claim.show(found.low)} to {claim.show(found.high)}",
        probability(found.p),
        claim.show(claim.matters),
        "none" if _is_small(claim) else least,
        verdict(claim),
    ]
