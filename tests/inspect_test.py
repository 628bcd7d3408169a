import json
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

from ifnas_jax import inspect
from ifnas_jax.architecture import Architecture, KeptEdge, KeptStage, from_kept
from ifnas_jax.architecture.cost import Macro
from ifnas_jax.nn import latency
from ifnas_jax.report.tables import latency_table
from ifnas_jax.spaces import darts, lchain

SEP, SKIP = "sep_conv_3x3", "skip_connect"
CONFIGS = pathlib.Path(__file__).parents[1] / "configs"
LCHAIN4 = str(CONFIGS / "lchain4.py")


@pytest.fixture
def architecture_file(tmp_path):
    space = lchain(3, (4, 1, 2))
    stages = (
        KeptStage(
            space.stages[0],
            (
                KeptEdge(0, 1, (SEP,)),
                KeptEdge(0, 2, (SEP,)),
                KeptEdge(1, 2, (SKIP,)),
                KeptEdge(1, 4, (SEP, SKIP)),
                KeptEdge(2, 4, (SEP,)),
            ),
        ),
        KeptStage(space.stages[1], (KeptEdge(0, 1, (SEP,)),)),
        KeptStage(space.stages[2], (KeptEdge(0, 2, (SKIP,)),)),
    )
    macro = Macro(8, 10, 28, 1, "small")
    path = tmp_path / "architecture.json"
    Architecture(space, stages, macro).save(path)
    return str(path)


def run(capsys, *argv):
    """Exit code, output and errors."""
    try:
        code = inspect.main(argv)
    except SystemExit as exit_:
        code = exit_.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_json_of_an_architecture(capsys, architecture_file):
    code, out, _ = run(capsys, f"--architecture={architecture_file}", "--json")
    facts = json.loads(out)
    stored = json.loads(pathlib.Path(architecture_file).read_text(encoding="utf-8"))
    assert code == 0
    assert facts == {
        "madds": stored["cost"]["madds"],
        "madds_by_part": facts["madds_by_part"],
        "params": stored["cost"]["params"],
        # Stage 1: 0-1-2-4.
        "depth": 5,
        "depth_per_stage": [3, 1, 1],
        "ops": {SEP: 5, SKIP: 3},
        "precursor_histogram": {"1": 3, "2": 3, "3": 1},
        # (0, 2) with (1, 4): both cover the gap between 1 and 2.
        "interleaved_pairs": 1,
    }
    parts = facts["madds_by_part"]
    stages = ["stage 1", "stage 2", "stage 3"]
    assert list(parts) == ["stem", *stages, "inputs of the stages", "head"]
    assert sum(parts.values()) == facts["madds"]


def test_table_of_an_architecture(capsys, architecture_file):
    code, out, _ = run(capsys, f"--architecture={architecture_file}")
    lines = [line.split("  ") for line in out.splitlines()]
    assert code == 0
    assert ["depth", "5 (3, 1, 1 in each)"] in [
        [s.strip() for s in x if s] for x in lines
    ]


def test_latency_is_measured_on_this_machine(capsys, architecture_file, monkeypatch):
    monkeypatch.setattr(latency, "_SECONDS", 0.0)
    monkeypatch.setattr(inspect, "_BATCHES", (1, 3))
    code, out, error = run(
        capsys, f"--architecture={architecture_file}", "--json", "--latency"
    )
    assert code == 0 and "measuring with batch 3" in error
    told = json.loads(out)["latency"]
    assert (told["platform"], told["dtype"]) == ("cpu", "float32")
    assert [own["batch"] for own in told["batches"]] == [1, 3]
    for own in told["batches"]:
        assert 0 < own["low_ms"] <= own["median_ms"] <= own["high_ms"]
        assert own["calls"] == 10
    assert f"latency on {told['kind']} (cpu)" in latency_table(told)


def test_json_of_a_config(capsys):
    code, out, _ = run(capsys, f"--config={LCHAIN4}", "--json")
    facts = json.loads(out)
    assert code == 0
    assert set(facts) == {
        "edges",
        "log10_size",
        "log10_size_paper",
        "supernet_madds",
        "chain_madds",
        "chain_params",
        "sampled",
        "groups",
        "added",
        "interleaved_pairs",
    }
    assert (facts["edges"], facts["chain_madds"]) == (206, 524_296_960)
    assert facts["interleaved_pairs"] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("name", "edges", "size", "paper"),
    [("darts_space", 28, 9.327, 18.032), ("goldnas_space", 196, 117.486, 117.486)],
)
def test_json_of_the_spaces_of_cells(capsys, name, edges, size, paper):
    code, out, _ = run(capsys, f"--config={CONFIGS / name}.py", "--json")
    facts = json.loads(out)
    assert (code, facts["edges"]) == (0, edges)
    assert round(facts["log10_size"], 3) == size
    assert round(facts["log10_size_paper"], 3) == paper
    # One node at a time, in every cell.
    assert facts["groups"] == [[[4], [1], [2], [3]]] * (edges // 14)
    assert facts["interleaved_pairs"] == [0, 0, 0, 0]
    assert facts["supernet_madds"] > facts["chain_madds"] > 0
    _, table, _ = run(capsys, f"--config={CONFIGS / name}.py")
    assert "4 sampling groups" in table


def test_architecture_of_cells(capsys, tmp_path):
    space = darts(2, 3)
    # Two inputs a node, with one operator each.
    kept = [
        stage & (np.arange(3) < 2)[:, None] & [True, False] for stage in space.full()
    ]
    path = str(tmp_path / "architecture.json")
    from_kept(space, kept, Macro(8, 10, 28, 1, "small", cells=5)).save(path)
    code, out, _ = run(capsys, f"--architecture={path}", "--json")
    facts = json.loads(out)
    # Three normal and two reduction cells, in which 0-1-2 is the longest path.
    assert (code, facts["depth"], facts["depth_per_stage"]) == (0, 10, [2, 2])
    # (-1, 1), (0, 1), (0, 2) and (1, 2) in each kind.
    assert facts["ops"] == {SEP: 8, SKIP: 0}
    assert facts["precursor_histogram"] == {"1": 4, "2": 4, "3": 0}
    # (-1, 1) with (0, 2).
    assert facts["interleaved_pairs"] == 2
    code, table, _ = run(capsys, f"--architecture={path}")
    assert (code, "reduction cell  2 of 2" in table) == (0, True)


def test_fields_of_a_config_can_be_set(capsys):
    arguments = ["--config.space.num_precursors=3", "--config.sampling.modulus=2"]
    _, out, _ = run(capsys, f"--config={LCHAIN4}:mnist5k", *arguments, "--json")
    facts = json.loads(out)
    assert [len(groups) for groups in facts["groups"]] == [2, 2, 2]
    assert min(facts["interleaved_pairs"]) > 0


def test_what_is_added_on_purpose_is_listed(capsys):
    arguments = f"--config={LCHAIN4}:mnist5k", "--config.sampling.interleaved=1"
    _, out, _ = run(capsys, *arguments, "--json")
    facts = json.loads(out)
    added = [edge for group in facts["added"] for stage in group for edge in stage]
    assert sum(facts["interleaved_pairs"]) >= len(added) > 0
    # Stages of one size are drawn apart.
    assert any(len(set(map(str, group))) > 1 for group in facts["added"])
    _, table, _ = run(capsys, *arguments)
    src, dst = facts["added"][1][0][0]
    assert f"added to group 1, stage 1: ({src}, {dst})" in table


@pytest.mark.parametrize("field", ["method=dnas", "sampling.groups=matched"])
def test_a_search_that_does_not_sample_is_said_to_interleave(capsys, field):
    arguments = f"--config={LCHAIN4}:mnist5k", f"--config.{field}"
    _, out, _ = run(capsys, *arguments, "--json")
    facts = json.loads(out)
    assert (facts["sampled"], min(facts["interleaved_pairs"]) > 0) == (False, True)
    _, table, _ = run(capsys, *arguments)
    assert "No groups are sampled" in table


def test_figures(capsys, architecture_file, tmp_path):
    figure = str(tmp_path / "found.png")
    code, *_ = run(capsys, f"--architecture={architecture_file}", f"--figure={figure}")
    assert (code, pathlib.Path(figure).stat().st_size > 10_000) == (0, True)
    figure = str(tmp_path / "space.svg")
    code, *_ = run(
        capsys, f"--config={LCHAIN4}:mnist5k", f"--figure={figure}", "--group=1"
    )
    assert (code, pathlib.Path(figure).stat().st_size > 10_000) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--config=absent.py"], "absent.py"),
        (["--architecture=absent.json"], "absent.json"),
        ([f"--config={LCHAIN4}:mnist5k", "--config.space.depth=3"], "depth"),
        ([f"--config={LCHAIN4}:mnist5k", "--config.seed=x"], "seed"),
        ([f"--config={LCHAIN4}:mnist5k", "--other=1"], "other"),
        (
            [f"--config={LCHAIN4}:mnist5k", "--config.space.nodes=(6,6)"],
            "nodes is (6, 6)",
        ),
        ([f"--config={LCHAIN4}:mnist5k", "--figure=a.svg", "--group=9"], "0 to 3"),
        ([f"--config={LCHAIN4}:mnist5k", "--figure=a.pdf"], ".svg"),
        (
            [f"--config={LCHAIN4}:mnist5k", "--figure=absent/a.svg"],
            "absent/a.svg' cannot be written",
        ),
    ],
)
def test_bad_input_is_one_sentence(capsys, arguments, says):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("inspect: ") and err.endswith(".\n")
    assert err.count("\n") == 1
    assert any(word in err for word in says.split("|"))


def test_exactly_one_of_config_and_architecture(capsys, architecture_file):
    for argv in ([], ["--config=a.py", f"--architecture={architecture_file}"]):
        code, _, err = run(capsys, *argv)
        assert (code, "--config or --architecture" in err) == (2, True)


def test_answers_at_once_and_without_jax(architecture_file):
    program = (
        "import sys; from ifnas_jax import inspect; "
        f"inspect.main(['--architecture={architecture_file}']); "
        "sys.exit(any(m in sys.modules for m in ('jax', 'tensorflow', 'matplotlib')))"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert time.monotonic() - start < 5
