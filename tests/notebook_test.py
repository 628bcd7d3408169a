"""launch/colab.ipynb, run on the CPU as it is stored, on a shorter schedule."""

import json

import pytest
from documented import ROOT

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")


def printed(cell):
    return "".join(out.text for out in cell.outputs if out.output_type == "stream")


def pictures(cell):
    return sum("image/png" in out.get("data", ()) for out in cell.outputs)


def test_the_notebook_searches_retrains_and_exports(tiny_flags, tmp_path, monkeypatch):
    notebook = nbformat.read(ROOT / "launch" / "colab.ipynb", as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    flags = [flag for flag in tiny_flags("") if flag.startswith("--config.")]
    # A shell would part them at blanks.
    monkeypatch.setenv("FLAGS", " ".join(flag.replace(" ", "") for flag in flags))
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    install, search, inspect, network, retrain, result, export = cells
    assert not install.outputs
    assert "is done" in printed(search)
    assert pictures(search) == pictures(network) == pictures(result) == 1
    assert "skip_connect" in printed(inspect)
    assert "is done" in printed(retrain)
    found = json.loads((tmp_path / "runs" / "colab" / "result.json").read_text())
    assert f"top-1 {100 * found['top1']:.1f} %" in printed(result)
    assert found["madds"] <= found["target_madds"] == 700_000
    assert printed(export).split()
