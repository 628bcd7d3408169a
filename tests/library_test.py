"""What `import ifnas_jax` gives, and what it loads."""

import re
import subprocess
import sys

import numpy as np
import pytest
from documented import ROOT, blocks

import ifnas_jax
from ifnas_jax import files
from ifnas_jax.spaces.lchain import lchain


def test_importing_loads_nothing_and_pricing_no_jax():
    program = (
        "import sys; before = set(sys.modules); import ifnas_jax;"
        "new = {name.split('.')[0] for name in sys.modules.keys() - before};"
        "assert not new & {'numpy', 'jax', 'tensorflow'}, new;"
        "ifnas_jax.load_architecture; ifnas_jax.Architecture; ifnas_jax.load_trained;"
        "assert not {'jax', 'flax', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_every_public_name_is_there_and_no_other():
    for name in ifnas_jax.__all__:
        assert getattr(ifnas_jax, name).__doc__
    assert set(ifnas_jax.__all__) < set(dir(ifnas_jax))
    with pytest.raises(AttributeError, match="no attribute 'Netwrok'"):
        _ = ifnas_jax.Netwrok


def test_a_run_is_loaded_as_tables(finished):
    """Each number is where the files have it."""
    run = ifnas_jax.load_run(finished[0])
    rows = files.read_rows(finished[0] / "search" / "gates.jsonl")
    edges = int(sum(stage.valid().sum() for stage in lchain(3, (1, 3, 1)).stages))
    assert set(map(len, run.gates.values())) == {len(rows) * edges}
    assert set(map(len, run.operators.values())) == {2 * len(rows) * edges}
    where = (run.gates["stage"] == 2) & (run.gates["node"] == 3)
    last = where & (run.gates["step"] == rows[-1]["step"])
    kept = [np.nan if x is None else x for x in rows[-1]["beta"][1][2]]
    np.testing.assert_equal(run.gates["gate"][last], kept)
    assert run.gates["distance"][last].tolist() == [1, 2, 3]
    skip = run.operators["operator"] == "skip_connect"
    first = skip & (run.operators["step"] == rows[0]["step"])
    assert run.operators["gate"][first][0] == rows[0]["alpha"][0][0][0][1]
    removed = files.read_rows(finished[0] / "search" / "prunings.jsonl")
    assert run.prunings["op"].tolist() == [row["op"] for row in removed]
    metrics = files.read_rows(finished[0] / "search" / "metrics.jsonl")
    np.testing.assert_equal(run.search["loss"], [row["loss"] for row in metrics])
    valid = [row.get("valid_accuracy", np.nan) for row in metrics]
    np.testing.assert_equal(run.search["valid_accuracy"], valid)
    assert np.isnan(valid).any() and not np.isnan(valid).all()
    assert run.retrain["test_top1"][-1] == run.result["top1"]
    assert run.architecture.cost().madds == run.result["madds"]
    # What the page says of the files is what they have.
    page = (ROOT / "docs" / "using.md").read_text("utf-8")
    for name, own in (("search", metrics), ("gates", rows), ("prunings", removed)):
        (line,) = [x for x in page.splitlines() if f"| `{name}`" in x]
        keys = {key for row in own for key in row}
        assert keys <= set(re.findall(r"`(\w+)`", line))


def test_the_pages_example_looks_into_a_run(finished, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "first").symlink_to(finished[0])
    _, (_, code) = blocks("docs/using.md", "python")
    exec(compile(code, "example", "exec"), {})
    top1, told = capsys.readouterr().out.splitlines()
    assert top1.startswith(str(files.read_json(finished[0] / "result.json")["top1"]))
    assert 0 <= float(told.rpartition(" ")[2]) <= 1
