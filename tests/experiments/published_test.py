"""What the pages show of experiments is what their cells say."""

import functools
import re

import pytest
from documented import ROOT

from ifnas_jax.experiments import __main__ as command

CELLS = ROOT / "benchmarks" / "results" / "proxy"
NAME = "CIFAR-10 (JPEG re-encoded)"


@pytest.mark.parametrize("name", ["claims"])
def test_a_page_shows_the_tables_of_its_cells(name, tmp_path):
    flags = ["--dataset=folder", f"--data-name={NAME}", f"--cells={CELLS}", "--show"]
    assert command.main([name, f"--workdir={tmp_path}", *flags]) == 0
    made = (tmp_path / "results" / f"{name}.md").read_text("utf-8")
    page = (ROOT / "docs" / "results" / f"{name}.md").read_text("utf-8")
    tables = re.findall(r"(?:^\|.*\n)+", made, re.MULTILINE)
    assert len(tables) >= 4
    for table in tables:
        assert table in page
    # Where from, and how much is missing; but not when it was shown.
    for line in re.findall(r"^- .*$", made, re.MULTILINE):
        assert line in page or line.startswith("- time of all cells")


def test_the_cells_are_all_read():
    """None is left over from a setting that there is no more."""
    from ifnas_jax.experiments import chain, claims, ranking, scales, tuning
    from ifnas_jax.experiments.settings import every_cell

    names = set()
    for experiment in (claims, chain, ranking, tuning):
        base = functools.partial(scales.base, "proxy", "folder", "", ())
        settings = experiment.settings(base)
        names |= {cell.name for cell in every_cell(settings, [*range(10), 1000, 1001])}
    left_over = {path.stem for path in CELLS.glob("*.json")} - names
    assert not left_over
