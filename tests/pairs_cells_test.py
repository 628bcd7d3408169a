"""Methods in spaces of cells, from search to retraining."""

import pytest

from benchmarks import matrix


@pytest.mark.parametrize(
    ("method", "space"),
    [
        ("ifnas", "goldnas_space"),
        ("goldnas", "darts_space"),
        ("pcdarts", "darts_space"),
        ("random", "goldnas_space"),
    ],
)
def test_pair_runs_and_meets_its_budget(method, space, mnist5k_dir, tmp_path):
    flags = [f"--config.dataset.data_dir={mnist5k_dir}"]
    row = matrix.run(method, space, str(tmp_path), flags)
    assert (row["method"], row["space"]) == (method, space)
    assert 0 < row["top1"] <= 1
