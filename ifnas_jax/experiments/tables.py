"""A table in a terminal, in Markdown, CSV and LaTeX; numbers with their intervals."""

import csv
import io
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ifnas_jax import statistics
from ifnas_jax.report.tables import aligned

# What LaTeX reads as something else.
_LATEX = {
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    **{"±": r"$\pm$", "×": r"$\times$", "μ": r"$\mu$", "τ": r"$\tau$"},
    **{
        ">": r"$>$",
        "<": r"$<$",
        "−": "$-$",
        "\\": r"\textbackslash{}",
        "·": r"$\cdot$",
    },
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "…": r"\ldots{}"},
}


class Table(NamedTuple):
    """Text in rows and columns.

    Attributes:
      title: what it shows.
      header: of its columns.
      rows: of texts.
      note: what is to be known of it; may be empty.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def plain(table: Table) -> str:
    """For a terminal."""
    lines = aligned([table.header, *table.rows])
    rule = "-" * max(map(len, lines))
    return "\n".join([table.title, "", lines[0], rule, *lines[1:], *_note(table)])


def markdown(table: Table) -> str:
    """For a page."""
    rows = [table.header, ["---"] * len(table.header), *table.rows]
    lines = [
        f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows
    ]
    return "\n".join([f"**{table.title}**", "", *lines, *_note(table)])


def comma_separated(table: Table) -> str:
    """For a spreadsheet: the header and the rows."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([table.header, *table.rows])
    return text.getvalue()


def latex(table: Table) -> str:
    """For a paper: a `tabular` with its caption."""
    columns = "l" + "r" * (len(table.header) - 1)
    lines = [" & ".join(map(_escaped, row)) + r" \\" for row in table.rows]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{_escaped(table.title)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\hline",
            " & ".join(map(_escaped, table.header)) + r" \\",
            r"\hline",
            *lines,
            r"\hline",
            r"\end{tabular}",
            *([rf"\\ {{\footnotesize {_escaped(table.note)}}}"] if table.note else []),
            r"\end{table}",
        ]
    )


def _note(table: Table) -> list[str]:
    return ["", table.note] if table.note else []


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(mark, mark) for mark in text)


def number(digits: int = 1, scale: float = 1.0) -> Callable[[float], str]:
    """How a number is shown."""
    return lambda value: f"{scale * value:.{digits}f}"


def spread(values: Sequence[float], show: Callable[[float], str]) -> str:
    """Mean ± half of its 95 % interval; a dash of nothing."""
    found = statistics.mean_of(values)
    if found.mean is None:
        return "-"
    if found.half is None:
        return show(found.mean)
    return f"{show(found.mean)} ± {show(found.half)}"


def probability(p: float) -> str:
    """As 0.032, or < 0.001."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
