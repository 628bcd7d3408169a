import json
import pathlib
import subprocess
import sys
import time

import pytest

from ifnas_jax import inspect
from ifnas_jax.architecture import Architecture, KeptEdge, KeptStage
from ifnas_jax.cost import Macro

SEP, SKIP = "sep_conv_3x3", "skip_connect"
LCHAIN4 = str(pathlib.Path(__file__).parents[1] / "configs" / "lchain4.py")


@pytest.fixture
def architecture_file(tmp_path):
    stages = (
        KeptStage(
            4,
            (
                KeptEdge(0, 1, (SEP,)),
                KeptEdge(0, 2, (SEP,)),
                KeptEdge(1, 2, (SKIP,)),
                KeptEdge(1, 4, (SEP, SKIP)),
                KeptEdge(2, 4, (SEP,)),
            ),
        ),
        KeptStage(1, (KeptEdge(0, 1, (SEP,)),)),
        KeptStage(2, (KeptEdge(0, 2, (SKIP,)),)),
    )
    macro = Macro(8, 10, 28, 1, "small")
    path = tmp_path / "architecture.json"
    Architecture("lchain", 3, stages, macro).save(path)
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
        "params": stored["cost"]["params"],
        # Stage 1: 0-1-2-4.
        "depth": 5,
        "depth_per_stage": [3, 1, 1],
        "ops": {SEP: 5, SKIP: 3},
        "precursor_histogram": {"1": 3, "2": 3, "3": 1},
        # (0, 2) with (1, 4): both cover the gap between 1 and 2.
        "interleaved_pairs": 1,
    }


def test_table_of_an_architecture(capsys, architecture_file):
    code, out, _ = run(capsys, f"--architecture={architecture_file}")
    lines = [line.split("  ") for line in out.splitlines()]
    assert code == 0
    assert ["depth", "5 (3 + 1 + 1)"] in [[s.strip() for s in x if s] for x in lines]


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
        "groups",
        "interleaved_pairs",
    }
    assert (facts["edges"], facts["chain_madds"]) == (206, 524_296_960)
    assert facts["interleaved_pairs"] == [0, 0, 0, 0]


def test_fields_of_a_config_can_be_set(capsys):
    arguments = ["--config.space.num_precursors=3", "--config.sampling.modulus=2"]
    _, out, _ = run(capsys, f"--config={LCHAIN4}:mnist5k", *arguments, "--json")
    facts = json.loads(out)
    assert [len(groups) for groups in facts["groups"]] == [2, 2, 2]
    assert min(facts["interleaved_pairs"]) > 0


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
        ([f"--config={LCHAIN4}:mnist5k", "--config.space.num_precursors=0"], "L|least"),
        ([f"--config={LCHAIN4}:mnist5k", "--figure=a.svg", "--group=9"], "0 to 3"),
        ([f"--config={LCHAIN4}:mnist5k", "--figure=a.pdf"], ".svg"),
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
