"""Inputs from outside, drawn at random; `python -m benchmarks.fuzz` draws more."""

import pytest

from benchmarks.fuzz import architectures, configs, harness, images, logs

# A good part of each kind is accepted: refusing everything would prove nothing.
KINDS = [
    (configs, 200, 0.3),
    (architectures, 250, 0.2),
    (logs, 300, 0.3),
    (images, 300, 0.3),
]
NAMES = [kind.__name__.rpartition(".")[2] for kind, *_ in KINDS]


@pytest.mark.parametrize(("kind", "cases", "share"), KINDS, ids=NAMES)
def test_each_input_is_refused_in_a_sentence_or_taken_rightly(kind, cases, share):
    tally = harness.run(kind, cases, seed=0)
    assert tally.total() >= cases
    assert tally["accepted"] >= share * cases
