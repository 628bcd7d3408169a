"""What a step takes against what is active: the line, and its picture.

    python -m benchmarks.step_figure --rows=FILE.json --figure=FILE.svg

The rows are those of `benchmarks.search_step`.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ifnas_jax.files import read_json
from ifnas_jax.report.arcs import BLUE, INK, ORANGE
from ifnas_jax.report.files import save_as

Row = dict[str, Any]


def settings(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows, grouped by network and batch."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(title(row), []).append(row)
    return list(groups.values())


def title(row: Row) -> str:
    """What the cases of one network have in common."""
    nodes = " + ".join(map(str, row["nodes"]))
    return (
        f"L = {row['num_precursors']}, {nodes} nodes, width {row['width']}, "
        f"batch {row['batch']}"
    )


def line(rows: Sequence[Row]) -> tuple[float, float] | None:
    """Least squares: milliseconds of a step at no MAdds, and for a million of them.

    None where all cases are the same network, as with L = 1.
    """
    if len({row["active_madds"] for row in rows}) < 2:
        return None
    slope, start = np.polyfit(
        [row["active_madds"] / 1e6 for row in rows], [row["step_ms"] for row in rows], 1
    )
    return float(start), float(slope)


def draw(rows: Sequence[Row]) -> Figure:
    """A panel for each network whose cases differ: theirs, PyTorch's, and the line."""
    groups = [group for group in settings(rows) if line(group)]
    columns = min(3, len(groups))
    shape = (-(-len(groups) // columns), columns)
    figure = Figure(figsize=(4.2 * shape[1], 3.2 * shape[0]), layout="constrained")
    panels = list(figure.subplots(*shape, squeeze=False).flat)
    for panel in panels[len(groups) :]:
        panel.remove()
    for panel, group in zip(panels, groups, strict=False):
        _panel(panel, group)
    return figure


def _panel(panel, rows: Sequence[Row]) -> None:
    madds = [row["active_madds"] / 1e6 for row in rows]
    ours, (start, slope) = [row["step_ms"] for row in rows], line(rows)
    cases = [row["case"] for row in rows]
    ends = np.array([0, max(madds)])
    panel.plot(ends, start + slope * ends, color=BLUE, linewidth=1)
    name = f"{title(rows[0])}\nat no MAdds {start / max(ours):.0%} of the whole"
    panel.scatter(madds, ours, color=BLUE, label="this project", zorder=3)
    if all(row["torch_ms"] for row in rows):
        theirs = [row["torch_ms"] for row in rows]
        panel.scatter(
            madds, theirs, color=ORANGE, marker="x", label="PyTorch", zorder=2
        )
    last = -np.inf
    for x, y, case in sorted(zip(madds, ours, cases, strict=True)):
        # Where two nearly coincide, a name stands on each side.
        left = x - last < 0.07 * max(madds)
        last = x
        where = {"xytext": (-6, 1), "ha": "right"} if left else {"xytext": (4, -9)}
        panel.annotate(case, (x, y), textcoords="offset points", fontsize=7, **where)
    panel.set_title(name, size=8)
    panel.set_xlabel("active MAdds an image, in millions", size=8, color=INK)
    panel.set_ylabel("milliseconds a step", size=8, color=INK)
    panel.set_ylim(bottom=0)
    panel.set_xlim(0, 1.2 * max(madds))
    panel.tick_params(labelsize=7)
    panel.legend(fontsize=7, frameon=False)


def main(argv=None) -> None:
    """Prints the lines and draws them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", required=True, help="of benchmarks.search_step")
    parser.add_argument("--figure", required=True, help="an .svg or .png")
    arguments = parser.parse_args(argv)
    rows = read_json(arguments.rows)
    for group in settings(rows):
        fitted = line(group)
        if not fitted:
            continue
        start, slope = fitted
        whole = max(row["step_ms"] for row in group)
        print(
            f"{title(group[0])}: {start:.0f} ms + {slope:.2f} ms a million MAdds; "
            f"the first is {start / whole:.1%} of the whole network's step"
        )
    save_as(draw(rows), arguments.figure)


if __name__ == "__main__":
    main()
