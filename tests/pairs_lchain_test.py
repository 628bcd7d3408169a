"""Methods in L-chains, from search to retraining; `benchmarks.matrix` has all pairs."""

import pytest

from benchmarks import matrix


@pytest.mark.parametrize(
    ("method", "space"),
    [
        ("dnas", "lchain1"),
        ("randomws", "lchain4"),
        ("darts", "lchain6"),
        ("fairdarts", "lchain8"),
    ],
)
def test_pair_runs_and_meets_its_budget(method, space, run_pair):
    row = run_pair(method, space)
    assert (row["method"], row["space"]) == (method, space)
    assert 0 < row["top1"] <= 1


def test_the_check_of_a_pair_can_fail(tmp_path):
    from ifnas_jax.architecture import from_kept
    from ifnas_jax.architecture.cost import Macro
    from ifnas_jax.spaces.lchain import lchain

    space = lchain(2, (2, 1, 1))
    found = from_kept(space, space.full(), Macro(4, 10, 28, 1, "small"))
    row = {"madds": found.cost().madds, "derive": "prune"}
    matrix.check({**row, "target_madds": row["madds"]}, found)
    for wrong in (
        {"target_madds": row["madds"] - 1},
        {"madds": row["madds"] + 1, "target_madds": 10**9},
        {"derive": "keep1"},
    ):
        with pytest.raises(AssertionError):
            matrix.check({**row, **wrong}, found)
