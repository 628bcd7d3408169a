import csv

from ifnas_jax.experiments import paper, tables
from ifnas_jax.experiments.tables import Table

TABLE = Table(
    "A & B_1",
    ["setting", "top-1 %"],
    [["w/o IF, 50 %", "1.0 ± 0.2"], ["a|b", "< 0.001"]],
    "A note.",
)


def test_every_form_has_every_cell():
    plain = tables.plain(TABLE)
    lines = plain.splitlines()
    assert lines[0] == "A & B_1"
    assert lines[-1] == "A note."
    assert "w/o IF, 50 %  1.0 ± 0.2" in lines
    rows = list(csv.reader(tables.comma_separated(TABLE).splitlines()))
    assert rows == [TABLE.header, *TABLE.rows]
    shown = tables.markdown(TABLE)
    # A bar would end a cell.
    assert "| a/b | < 0.001 |" in shown
    assert shown.count("| --- ") == 2


def test_latex_escapes_what_it_reads_otherwise():
    text = tables.latex(TABLE)
    assert r"\caption{A \& B\_1}" in text
    assert r"w/o IF, 50 \% & 1.0 $\pm$ 0.2 \\" in text
    assert r"$<$ 0.001" in text
    every = tables.latex(Table("τ μ × ~ ^ \\ − …", ["#"], [["{$}"]]))
    assert every.isascii()


def test_numbers_have_intervals():
    show = tables.number(1, 100)
    assert tables.spread([], show) == "-"
    assert tables.spread([0.5], show) == "50.0"
    assert tables.spread([0.5, 0.5], show) == "50.0 ± 0.0"
    assert tables.probability(0.0001) == "< 0.001"
    assert tables.probability(0.0321) == "0.032"


def test_the_papers_tables_are_marked_as_its_own():
    """Their rows are as long as their headers, and never ours."""
    found = [getattr(paper, f"TABLE{number}") for number in range(1, 7)]
    for table in found:
        assert "paper" in table.title.lower()
        assert table.note == paper.NOTE
        assert {len(row) for row in table.rows} == {len(table.header)}
    assert [len(table.rows) for table in found] == [1, 12, 3, 2, 4, 8]
    assert found[1].rows[3] == ["L = 4, IF-NAS", "24.3", "7.4", "5.3", "592"]
