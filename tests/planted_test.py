"""A search finds what was planted, and nothing hands it to one that does not look."""

from benchmarks.planted import recovered


def test_ifnas_finds_the_planted_architecture():
    assert all(recovered("ifnas", seed=0))
    assert not all(recovered("random", seed=0))
