"""Columns of numbered nodes with arcs beside them.

A column is read downwards from its first node. A direct connection is a straight line
and a longer one an arc beside the column, the farther out the longer it is, so that no
line runs through a node.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, PathPatch, Polygon, Rectangle
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from ifnas_jax.spaces.graph import Edge

INK, FAINT = "#222222", "#b4b4b4"
# Okabe and Ito's colours, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#8f4f7f"

_RADIUS = 0.29  # of a node; nodes are 1 apart
_INCHES = 0.4  # from a node to the next
_GAP = 0.9  # between columns
_HEADING, _FOOTING = 9, 7.5  # points


@dataclasses.dataclass(frozen=True)
class Stroke:
    """How a line is drawn; `dashes` are lengths in line widths."""

    color: str
    width: float
    dashes: tuple[float, ...] = ()
    arrow: bool = True

    def line(self) -> dict[str, Any]:
        """Keywords of matplotlib's lines and patches."""
        return {
            "color": self.color,
            "linewidth": self.width,
            "linestyle": (0, self.dashes) if self.dashes else "-",
        }


@dataclasses.dataclass(frozen=True)
class Arc:
    """A line from one node to another; `side` is -1, 0 (straight on) or 1."""

    src: int
    dst: int
    stroke: Stroke
    side: int
    shift: float = 0.0
    name: str | None = None


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of nodes first..num_nodes, with a line of text above and some below."""

    heading: str
    footing: str
    num_nodes: int
    arcs: tuple[Arc, ...]
    faded: frozenset[int] = frozenset()
    filled: frozenset[int] = frozenset()
    first: int = 0

    def reach(self, side: int) -> float:
        """How far the column's arcs, or its texts, extend to one side."""
        texts = _text_width(self.heading, _HEADING), _text_width(self.footing, _FOOTING)
        # A text may stand in the gap beside its column, up to a third of it.
        least = max(_RADIUS, max(texts) / 2 - _GAP / 3)
        bulges = [_bulge(arc) for arc in self.arcs if arc.side == side]
        return max([least, *bulges])


def _text_width(text: str, size: float) -> float:
    """Of the longest line, in the unit of the drawing."""
    lines = [TextPath((0, 0), line, size=size) for line in text.split("\n") if line]
    points = max((line.get_extents().width for line in lines), default=0.0)
    return points / 72 / _INCHES


def choose_sides(edges: Iterable[Edge]) -> dict[Edge, int]:
    """The side of each connection: 0 for a direct one, else the better of -1 and 1.

    Short ones choose first. Each takes the side on which it crosses fewer others, or
    the emptier one: what does not interleave crosses nowhere.
    """
    edges = sorted(edges, key=lambda edge: (edge[1] - edge[0], edge[1]))
    sides: dict[Edge, int] = {}
    for edge in edges:
        if edge[1] - edge[0] == 1:
            sides[edge] = 0
            continue
        sides[edge] = min(
            (1, -1),
            key=lambda side: (
                sum(_cross(edge, other) for other in sides if sides[other] == side),
                sum(other[1] - other[0] for other in sides if sides[other] == side),
            ),
        )
    return sides


def _cross(first: Edge, second: Edge) -> bool:
    """Whether two arcs on one side cross."""
    (a, b), (c, d) = sorted((first, second))
    return a < c < b < d


def draw_columns(
    title: str, columns: Sequence[Column], legend: Mapping[str, Stroke]
) -> Figure:
    """Columns beside each other, a title above and a legend below."""
    widths = [column.reach(-1) + column.reach(1) for column in columns]
    drawn = sum(widths) + _GAP * (len(columns) - 1)
    # Narrow drawings are padded until the title and the legend fit.
    width = max(drawn + 0.8, 5.6 / _INCHES)
    top = 1.85 + 0.55 * title.count("\n")
    deepest = max(column.num_nodes - column.first for column in columns)
    bottom = deepest + 2.4
    figure = Figure(figsize=(width * _INCHES, (top + bottom) * _INCHES))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(-bottom, top), aspect="equal")
    axes.axis("off")
    gap = (width - sum(widths)) / (len(columns) + 1) if drawn + 0.8 < width else _GAP
    x = (width - sum(widths) - gap * (len(columns) - 1)) / 2
    for column, own in zip(columns, widths, strict=True):
        _draw_column(axes, column, x + column.reach(-1))
        x += own + gap
    axes.text(
        width / 2, top - 0.3, title, ha="center", va="top", fontsize=9.5, color=INK
    )
    handles = [
        Line2D([], [], label=name, **stroke.line()) for name, stroke in legend.items()
    ]
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=len(handles),
        frameon=False,
        fontsize=8,
        handlelength=2.8,
        columnspacing=1.6,
        borderaxespad=0.3,
    )
    return figure


def _draw_column(axes: Axes, column: Column, x: float) -> None:
    style = {"ha": "center", "color": INK, "linespacing": 1.35}
    axes.text(x, 0.55, column.heading, fontsize=_HEADING, va="bottom", **style)
    foot = column.first - column.num_nodes - 0.55
    axes.text(x, foot, column.footing, fontsize=_FOOTING, va="top", **style)
    for arc in column.arcs:
        _draw_arc(axes, arc, x, column.first)
    for node in range(column.first, column.num_nodes + 1):
        _draw_node(axes, column, node, x)


def _draw_node(axes: Axes, column: Column, node: int, x: float) -> None:
    faded, filled = node in column.faded, node in column.filled
    style = {
        "facecolor": BLUE if filled else "white",
        "edgecolor": FAINT if faded else BLUE if filled else INK,
        "linestyle": (0, (2, 1.5)) if faded else "-",
        "linewidth": 1.0,
        "zorder": 3,
    }
    y = column.first - node
    if node <= 0:  # An input, which is not searched.
        corner = (x - _RADIUS, y - _RADIUS)
        axes.add_patch(Rectangle(corner, 2 * _RADIUS, 2 * _RADIUS, **style))
    else:
        axes.add_patch(Circle((x, y), _RADIUS, **style))
    axes.text(
        x,
        y,
        str(node).replace("-", "−"),
        ha="center",
        va="center_baseline",
        fontsize=_FOOTING,
        color=FAINT if faded else "white" if filled else INK,
        zorder=4,
    )


def _bulge(arc: Arc) -> float:
    """How far from the column's middle an arc reaches."""
    return 0.34 + 0.19 * (arc.dst - arc.src) + arc.shift


def _draw_arc(axes: Axes, arc: Arc, x: float, first: int) -> None:
    """A straight line or a Bézier curve, with a head if its stroke has one."""
    distance, top, bottom = arc.dst - arc.src, first - arc.src, first - arc.dst
    if arc.side == 0:
        start = (x + arc.shift, top)
        end = (x + arc.shift, bottom + math.sqrt(_RADIUS**2 - arc.shift**2))
        points, codes = [start, end], [Path.MOVETO, Path.LINETO]
    else:
        # Longer arcs leave their node more to the side, so that those of one node
        # fan out instead of sharing their first stretch.
        angle = math.radians(52 * 0.68 ** (distance - 2) - 80 * arc.shift)
        out, along = _RADIUS * math.cos(angle), _RADIUS * math.sin(angle)
        # A cubic curve reaches 3/4 of the way to its control points.
        control = out + (_bulge(arc) - out) * 4 / 3
        lean = 0.12 * distance
        points = [
            (x + arc.side * out, top - along),
            (x + arc.side * control, top - along - lean),
            (x + arc.side * control, bottom + along + lean),
            (x + arc.side * out, bottom + along),
        ]
        codes = [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
    style = arc.stroke.line()
    patch = PathPatch(Path(points, codes), fill=False, capstyle="butt", **style)
    patch.set_gid(arc.name)
    axes.add_patch(patch)
    if arc.stroke.arrow:
        axes.add_patch(_head(points[-2], points[-1], arc.stroke.color))


def _head(before: tuple[float, float], tip: tuple[float, float], color: str) -> Polygon:
    """A triangle at `tip`, pointing away from `before`."""
    dx, dy = tip[0] - before[0], tip[1] - before[1]
    length = math.hypot(dx, dy)
    dx, dy = dx / length, dy / length
    base = (tip[0] - 0.2 * dx, tip[1] - 0.2 * dy)
    sides = [(base[0] + s * 0.085 * dy, base[1] - s * 0.085 * dx) for s in (1, -1)]
    return Polygon([tip, *sides], closed=True, facecolor=color, edgecolor="none")
