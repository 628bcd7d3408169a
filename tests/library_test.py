"""What `import ifnas_jax` gives, and what it loads."""

import dataclasses
import re
import shutil
import signal
import subprocess
import sys
import threading

import jax
import numpy as np
import pytest
from documented import ROOT, blocks
from flax.traverse_util import flatten_dict
from tiny import TINY

import ifnas_jax
from ifnas_jax import files, library
from ifnas_jax.architecture import from_kept
from ifnas_jax.retraining import weights
from ifnas_jax.retraining.step import initial_state, make_network, make_optimizer
from ifnas_jax.runtime import termination
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


def test_searching_and_training_from_python(finished, digits_dir, tmp_path):
    """What a command has left is found; then a network goes on where that ended."""
    fields = {**TINY, "dataset.data_dir": digits_dir}
    config = ifnas_jax.load_config("lchain4:mnist5k", fields)
    workdir = tmp_path / "a"
    shutil.copytree(finished[0], workdir)
    found = ifnas_jax.search(config, workdir)
    stored = files.read_json(workdir / "search" / "architecture.json")
    assert found.to_json() == stored and config.jobs == ("search", "retrain")
    trained = ifnas_jax.retrain(config, workdir)
    assert trained.top1 == files.read_json(workdir / "result.json")["top1"]
    more = {"retrain.weights": workdir, "retrain.learning_rate": 0, "retrain.epochs": 1}
    more |= {"retrain.final_epochs": 0, "retrain.warmup_epochs": 0}
    longer = ifnas_jax.load_config("lchain4:mnist5k", {**fields, **more})
    results = []
    run = lambda: results.append(ifnas_jax.retrain(longer, architecture=found))  # noqa: E731
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    same = jax.tree.map(
        np.array_equal, results[0].variables["params"], trained.variables["params"]
    )
    assert all(jax.tree.leaves(same))


def test_the_process_is_left_as_it_was(monkeypatch, tmp_path):
    names = "jax_compilation_cache_dir", "jax_persistent_cache_enable_xla_caches"

    def state():
        return signal.getsignal(signal.SIGTERM), [getattr(jax.config, n) for n in names]

    before = state()

    def run(*unused, **named):
        termination.catch()
        signal.raise_signal(signal.SIGTERM)
        for name in names:
            jax.config.update(name, "none")
        assert state() != before and termination.came()
        raise ifnas_jax.InputError("no.")

    monkeypatch.setattr(library.main, "run", run)
    with pytest.raises(ifnas_jax.InputError, match="no"):
        ifnas_jax.search("lchain4:mnist5k", tmp_path)
    assert state() == before and not termination.came()


def test_a_search_without_a_workdir_keeps_nothing(digits_dir, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    read = ("space.", "macro.", "target_madds")
    fields = {name: value for name, value in TINY.items() if name.startswith(read)}
    fields |= {"dataset.data_dir": digits_dir, "method": "random"}
    config = ifnas_jax.load_config("lchain4:mnist5k", fields)
    found = ifnas_jax.search(config)
    assert 0.97 * TINY["target_madds"] <= found.cost().madds <= TINY["target_madds"]
    assert found.to_json() == ifnas_jax.search(config).to_json()
    assert not list(tmp_path.iterdir())
    config.seeds = 2
    with pytest.raises(ifnas_jax.InputError, match="seeds is 2, but search gives one"):
        ifnas_jax.search(config)
    with pytest.raises(ifnas_jax.InputError, match="there is no network to train"):
        ifnas_jax.retrain("lchain4:mnist5k")


def test_weights_of_another_run_are_taken_where_they_fit(finished, digits_dir):
    fields = {**TINY, "dataset.data_dir": digits_dir, "retrain.weights": finished[0]}
    config = ifnas_jax.load_config("lchain4:mnist5k", fields)
    config.dtype = "float32"
    trained = ifnas_jax.load_trained(finished[0])
    found = trained.network.architecture
    few = dataclasses.replace(found.macro, num_classes=3)
    network = make_network(config, dataclasses.replace(found, macro=few))
    drawn = initial_state(config, network, make_optimizer(config, 1))
    state = weights.start_with(config, network.architecture, drawn)
    for name, theirs in flatten_dict(trained.variables["params"]).items():
        ours = flatten_dict(state.params)[name]
        if "dense" in name:
            assert ours.shape[-1] == 3
            assert ours is flatten_dict(drawn.params)[name]
        else:
            np.testing.assert_array_equal(ours, theirs)
    stats = flatten_dict(state.batch_stats)
    for name, theirs in flatten_dict(trained.variables["batch_stats"]).items():
        np.testing.assert_array_equal(stats[name], theirs)
    wide = dataclasses.replace(found, macro=dataclasses.replace(found.macro, width=6))
    with pytest.raises(ifnas_jax.InputError, match=r"has one of shape .* of params/"):
        weights.check(config, wide)
    kept = [stage.kept(found.space.operators) for stage in found.stages]
    kept[0][:, 0] = ~kept[0][:, 0] | ~kept[0][:, 0].any()
    other = from_kept(found.space, kept, found.macro)
    with pytest.raises(ifnas_jax.InputError, match="is another architecture"):
        weights.check(config, other)
    config.retrain.weights = str(finished[0] / "search")
    with pytest.raises(ifnas_jax.InputError, match=r"retrain\.weights: .* is no run"):
        weights.check(config, found)


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
    *_, (_, code) = blocks("docs/using.md", "python")
    exec(compile(code, "example", "exec"), {})
    top1, told = capsys.readouterr().out.splitlines()
    assert top1.startswith(str(files.read_json(finished[0] / "result.json")["top1"]))
    assert 0 <= float(told.rpartition(" ")[2]) <= 1
