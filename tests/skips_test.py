"""A skip in CI is a failure."""

import os
import pathlib
import subprocess
import sys

import pytest

SKIPS = """
import pytest

@pytest.mark.skipif(True, reason="there is no chromium")
def test_mark():
    pass

def test_import():
    pytest.importorskip("nowhere.onnx")

@pytest.mark.xfail
def test_that_is_known_to_fail():
    assert False
"""


@pytest.mark.parametrize("ci", ["", "true"])
def test_only_in_ci_is_a_skip_a_failure(ci, tmp_path):
    (tmp_path / "one_test.py").write_text(SKIPS)
    whole = "import pytest\n\npytest.importorskip('nowhere.torch')\n"
    (tmp_path / "two_test.py").write_text(whole)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "skips", "-q", "-rs"),
            *("-p", "no:cacheprovider", "--continue-on-collection-errors"),
            *("one_test.py", "two_test.py"),
        ],
        env={**os.environ, "CI": ci, "PYTHONPATH": str(pathlib.Path(__file__).parent)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    output = done.stdout
    if ci:
        assert done.returncode == 1
        # One of the two errors is of the file that was not imported.
        assert "1 failed, 1 xfailed, 2 errors" in output
        assert output.count("; install what it needs: ") == 3
        for name in ("there is no chromium", "'nowhere.onnx'", "'nowhere.torch'"):
            assert name in output
        assert "two_test.py must not be skipped in CI" in output
    else:
        assert done.returncode == 0
        assert "3 skipped, 1 xfailed" in output
