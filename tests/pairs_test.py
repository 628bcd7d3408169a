"""Methods in spaces, some to the end; `benchmarks.matrix` has all pairs."""

import subprocess
import sys
import types

import pytest

from benchmarks import matrix
from ifnas_jax import main
from ifnas_jax.methods import readers

MODULE = [sys.executable, "-W", "error", "-m", "ifnas_jax.main"]


# Compiling is most of what a pair takes, and it is compared with no other run.
pytestmark = pytest.mark.usefixtures("compiles_soon")


def here(command, **unused):
    """A run of the command line in this process, whose warnings are errors too."""
    assert command[: len(MODULE)] == MODULE
    code = main.main(command[len(MODULE) :])
    return subprocess.CompletedProcess(command, code, "", "")


def fewer(method, space):
    """Fields with which a pair makes as many steps with a quarter of the digits.

    And of the pixels, so that what is to be met is a quarter, too.
    """
    fields = {"search.batch_size": 8, "retrain.batch_size": 50}
    fields["dataset.image_size"] = matrix.TINY["dataset.image_size"] // 2
    if "target_madds" in matrix.SPACES[space]:
        fields["target_madds"] = matrix.SPACES[space]["target_madds"] // 4
    for name, value in matrix.TINY.items():
        if name.endswith("_epochs") and not name.startswith("retrain."):
            fields[name] = 2 * value
    return {k: v for k, v in fields.items() if method in readers(k)}


@pytest.mark.parametrize(
    ("method", "space", "alone"),
    [
        # As commands, to the end; the others save starting one, and retraining.
        ("pcdarts", "darts_space", True),
        ("ifnas", "goldnas_space", True),
        ("randomws", "lchain4", True),
        ("goldnas", "darts_space", False),
        ("random", "goldnas_space", False),
        ("dnas", "lchain1", False),
        ("darts", "lchain6", False),
        ("fairdarts", "lchain8", False),
    ],
)
def test_pair_runs_and_meets_its_budget(
    method, space, alone, digits_dir, tmp_path, monkeypatch
):
    if not alone:
        monkeypatch.setattr(matrix, "subprocess", types.SimpleNamespace(run=here))
    fields = {"dataset.data_dir": digits_dir, **fewer(method, space)}
    if not alone:
        fields["jobs"] = "('search',)"
    flags = [f"--config.{name}={value}" for name, value in fields.items()]
    # It checks what is derived, and raises if the run fails.
    row = matrix.run(method, space, str(tmp_path), flags)
    assert (row["method"], row["space"]) == (method, space)
    assert 0 < row["top1"] <= 1 if alone else row["top1"] is None


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
