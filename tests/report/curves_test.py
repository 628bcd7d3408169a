import json

import numpy as np

from ifnas_jax.report import curves, gates


def write_rows(path, rows, tail=""):
    path.parent.mkdir(exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(text + tail, encoding="utf-8")


def gate_rows():
    """Two nodes, L = 2, in three stages; (0, 2) of stage 1 is pruned after step 20."""
    rows = []
    for step in (10, 20, 30):
        far = 0.5 if step < 30 else None
        stage = [[0.5, None], [0.9, 0.1]]
        rows.append({"step": step, "beta": [[[0.5, None], [0.9, far]], stage, stage]})
    return rows


def test_a_pruned_line_ends_with_a_marker():
    figure = gates.draw_gates(gate_rows(), nodes=[(1, 2), (2, 2)])
    pruned, whole = figure.axes
    marks = [line for line in pruned.lines if line.get_marker() == "x"]
    assert [mark.get_xydata().tolist() for mark in marks] == [[[20, 0.5]]]
    ended = pruned.lines[0].get_ydata()
    assert np.isnan(ended).tolist() == [False, False, True]
    assert [line.get_marker() for line in whole.lines] == ["None", "None"]


def test_nearer_precursors_are_darker():
    figure = gates.draw_gates(gate_rows(), nodes=[(2, 2)])
    far, near = figure.axes[0].lines
    assert near.get_ydata()[0] == 0.9
    assert sum(near.get_color()[:3]) < sum(far.get_color()[:3])


def test_overview_takes_nodes_of_every_stage_that_have_a_choice():
    titles = [axes.get_title() for axes in gates.draw_gates(gate_rows()).axes]
    assert titles == [f"stage {stage}, node 2" for stage in (1, 2, 3)]


def test_cost_shows_target_and_prunings():
    metrics = [
        {"step": step, "phase": "prune", "madds": madds, "depth": 5}
        for step, madds in ((10, 4_000_000), (20, 3_000_000))
    ]
    prunings = [{"step": 20}, {"step": 20}]
    top, bottom = curves.draw_cost(metrics, prunings, 2_500_000).axes
    assert top.lines[0].get_ydata().tolist() == [4.0, 3.0]
    assert list(top.lines[1].get_ydata()) == [2.5, 2.5]
    assert bottom.lines[1].get_xdata().tolist() == [20]


def test_report_draws_what_a_run_in_progress_has(tmp_path):
    assert curves.write_report(tmp_path) == []
    assert not (tmp_path / "report").exists()
    row = {
        "step": 1,
        "phase": "weights",
        "loss": 2.3,
        "accuracy": 0.1,
        "madds": 9_000_000,
        "depth": 6,
        "valid_accuracy": 0.2,
    }
    write_rows(tmp_path / "search" / "gates.jsonl", gate_rows()[:1], tail='{"step": 2')
    write_rows(tmp_path / "search" / "metrics.jsonl", [row])
    write_rows(tmp_path / "search" / "prunings.jsonl", [])
    write_rows(tmp_path / "retrain" / "metrics.jsonl", [])
    assert curves.write_report(tmp_path) == ["gates", "cost", "training"]
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {
        f"{name}.{suffix}"
        for name in ("gates", "cost", "training")
        for suffix in ("svg", "png")
    }
