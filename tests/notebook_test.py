"""launch/colab.ipynb, run on the CPU as it is stored, on a shorter schedule."""

import json
import os

import pytest
from documented import ROOT
from tiny import TARGET

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")


def printed(cell):
    return "".join(out.text for out in cell.outputs if out.output_type == "stream")


def pictures(cell):
    return sum("image/png" in out.get("data", ()) for out in cell.outputs)


def test_where_nothing_is_installed_it_installs_in_its_own_environment(
    tmp_path, monkeypatch
):
    """Up to the commands, which are not run."""
    notebook = nbformat.read(ROOT / "launch" / "colab.ipynb", as_version=4)
    install = next(cell.source for cell in notebook.cells if cell.cell_type == "code")
    ran = []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("subprocess.run", lambda words, check: ran.append(words))
    monkeypatch.setenv("PATH", "/bin")
    for folder in (tmp_path / "elsewhere", tmp_path / "checkout" / "launch"):
        folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(SystemExit, match="Set SOURCE first"):
        exec(install, {})
    assert not ran
    monkeypatch.chdir(tmp_path / "checkout" / "launch")
    (tmp_path / "checkout" / "setup.cfg").touch()
    exec(install, {})
    own = tmp_path / "checkout" / "launch" / "runs" / "env" / "bin"
    assert ran[-1] == [own / "python", "-m", "pip", "install", "--quiet", ".."]
    assert os.environ["PATH"] == f"{own}:/bin"


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
    assert found["madds"] <= found["target_madds"] == TARGET
    assert printed(export).split()
