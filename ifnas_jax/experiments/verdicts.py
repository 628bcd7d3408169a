"""What a sweep says of a claim: reproduced, not reproduced, or not resolvable here.

The rule is fixed before the runs. A claim says that one setting's number is higher than
another's, by at least so much that it would matter. It is reproduced if the difference
goes that way with an exact p under 0.05; not reproduced if the 95 % interval excludes a
difference that would matter, or if the difference goes the other way with a p under
0.05; else it is not resolvable with these runs, and the table says which difference
they would have found four times of five.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ifnas_jax import statistics
from ifnas_jax.experiments.tables import Table, probability

REPRODUCED, REFUTED, OPEN = "reproduced", "not reproduced", "not resolvable here"


class Claim(NamedTuple):
    """That one sample is higher than another.

    Attributes:
      text: in words.
      higher: the values that are to be higher.
      lower: the others.
      matters: the smallest difference that would matter.
      show: how a value is shown.
    """

    text: str
    higher: Sequence[float]
    lower: Sequence[float]
    matters: float
    show: Callable[[float], str]


def verdict(claim: Claim) -> str:
    """By the rule above; a dash where fewer than two seeds are done."""
    found = statistics.compare(claim.higher, claim.lower)
    if found is None:
        return "-"
    if found.p < statistics.LEVEL:
        return REPRODUCED if found.mean > 0 else REFUTED
    return REFUTED if found.high < claim.matters else OPEN


def claims_table(title: str, claims: Sequence[Claim]) -> Table:
    """A row for each claim: the difference, its interval, the test, the power."""
    rows = []
    for claim in claims:
        found = statistics.compare(claim.higher, claim.lower)
        runs = f"{len(claim.higher)}, {len(claim.lower)}"
        if found is None:
            rows.append([claim.text, runs, *["-"] * 6])
            continue
        interval = f"{claim.show(found.low)} to {claim.show(found.high)}"
        rows.append(
            [
                claim.text,
                runs,
                claim.show(found.mean),
                interval,
                probability(found.p),
                claim.show(claim.matters),
                claim.show(found.detectable),
                verdict(claim),
            ]
        )
    header = ["claim", "seeds", "difference", "95 % interval", "exact p"]
    header += ["would matter", "detectable", "verdict"]
    note = (
        "Two-sided permutation tests; intervals by Welch. Detectable: what a t test at "
        "5 % finds with a power of 80 % at this spread. p is not corrected for the "
        "number of claims."
    )
    return Table(title, header, rows, note)
