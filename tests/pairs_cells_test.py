"""Methods in spaces of cells, from search to retraining."""

import pytest


@pytest.mark.parametrize(
    ("method", "space"),
    [
        ("ifnas", "goldnas_space"),
        ("goldnas", "darts_space"),
        ("pcdarts", "darts_space"),
        ("random", "goldnas_space"),
    ],
)
def test_pair_runs_and_meets_its_budget(method, space, run_pair):
    row = run_pair(method, space)
    assert (row["method"], row["space"]) == (method, space)
    assert 0 < row["top1"] <= 1
