"""Draws the cases of a kind, checks each and counts what became of them."""

import collections
import datetime
from collections.abc import Iterable
from types import ModuleType

import hypothesis

# A case takes milliseconds; one that takes this long would hang a command.
LIMIT = datetime.timedelta(seconds=10)


def run(kind: ModuleType, cases: int, seed: int) -> collections.Counter:
    """Checks a kind's pinned cases and `cases` drawn ones.

    Args:
      kind: has `PINNED`, `CASES` (a strategy) and `check`, which says whether a case is
        accepted and raises if that, or what follows from it, is wrong.
      cases: how many to draw; one is not drawn twice.
      seed: of the draws.

    Returns:
      How many were "accepted" and "refused".
    """
    tally = collections.Counter(accepted=0, refused=0)

    def count(case) -> None:
        tally["accepted" if kind.check(case) else "refused"] += 1

    for case in kind.PINNED:
        count(case)
    settings = hypothesis.settings(
        max_examples=cases,
        database=None,
        deadline=LIMIT,
        # It measures the machine, which others may use.
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.seed(seed)(settings(hypothesis.given(kind.CASES)(count)))()
    return tally


def check_sentence(error: Exception, names: Iterable[str]) -> None:
    """Asserts that a refusal is one sentence on one line that names something."""
    text = str(error)
    assert text.endswith(".") and len(text.splitlines()) == 1, text
    assert any(name in text for name in names), text
