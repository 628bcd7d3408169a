import json

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from ifnas_jax import config as config_lib
from ifnas_jax.report import curves, gates
from ifnas_jax.report.figures import write_figures
from ifnas_jax.report.run import read_run


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
    assert sum(to_rgb(near.get_color())) < sum(to_rgb(far.get_color()))


def test_mean_gates_count_what_was_pruned_as_nothing():
    means = gates.mean_gates(gate_rows())
    # Pre-1 of six nodes; pre-2 of three, of which one goes.
    assert means[:, 0].tolist() == pytest.approx([(3 * 0.5 + 3 * 0.9) / 6] * 3)
    assert means[:, 1].tolist() == pytest.approx([0.7 / 3, 0.7 / 3, 0.2 / 3])


def test_overview_takes_nodes_of_every_stage_that_have_a_choice():
    titles = [axes.get_title() for axes in gates.draw_gates(gate_rows()).axes]
    assert titles == [f"stage {stage}, node 2" for stage in (1, 2, 3)]


def test_cost_shows_target_and_prunings():
    metrics = [
        {"step": step, "phase": "prune", "madds": madds, "edges": 7, "depth": 5}
        for step, madds in ((10, 4_000_000), (20, 3_000_000))
    ]
    prunings = [{"step": 20}, {"step": 20}]
    top, middle, bottom = curves.draw_cost(metrics, prunings, 2_500_000).axes
    assert top.lines[0].get_ydata().tolist() == [4.0, 3.0]
    assert list(top.lines[1].get_ydata()) == [2.5, 2.5]
    assert middle.lines[0].get_ydata().tolist() == [7, 7]
    assert bottom.lines[1].get_xdata().tolist() == [20]


def test_figures_are_of_what_a_run_in_progress_has(tmp_path):
    config = config_lib.default("mnist5k")
    config.space.update(num_precursors=2, nodes=(2, 2, 2))
    (tmp_path / "config.json").write_text(config_lib.to_json(config))
    assert write_figures(read_run(tmp_path)) == []
    assert not (tmp_path / "report").exists()
    row = {
        "step": 1,
        "epoch": 0.1,
        "phase": "weights",
        "edges": 12,
        "loss": 2.3,
        "accuracy": 0.1,
        "madds": 9_000_000,
        "depth": 6,
        "valid_accuracy": 0.2,
    }
    (first, *_) = gate_rows()
    # Two operators on each edge.
    first["alpha"] = [
        [[[beta, beta] for beta in node] for node in stage] for stage in first["beta"]
    ]
    write_rows(tmp_path / "search" / "gates.jsonl", [first], tail='{"step": 2')
    write_rows(tmp_path / "search" / "metrics.jsonl", [row])
    write_rows(tmp_path / "search" / "prunings.jsonl", [])
    write_rows(tmp_path / "retrain" / "metrics.jsonl", [])
    assert write_figures(read_run(tmp_path)) == ["gates", "cost", "training"]
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {
        f"{name}.{suffix}"
        for name in ("gates", "cost", "training")
        for suffix in ("svg", "png")
    }
