import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from benchmarks.preflight import markdown
from ifnas_jax.architecture import Architecture, KeptEdge, KeptStage
from ifnas_jax.architecture.cost import Macro
from ifnas_jax.preflight import compiler, steps
from ifnas_jax.preflight.__main__ import main
from ifnas_jax.preflight.table import table
from ifnas_jax.runtime import tpu
from ifnas_jax.spaces import lchain

LCHAIN4 = pathlib.Path(__file__).parents[1] / "configs" / "lchain4.py"
NODES, WIDTH, SIZE = (1, 1, 1), 8, 32
COMMAND = (
    f"--config={LCHAIN4}:mnist5k",
    "--config.space.num_precursors=1",
    f"--config.space.nodes={NODES}",
    f"--config.macro.width={WIDTH}",
    f"--config.macro.search_width={WIDTH}",
    f"--config.dataset.image_size={SIZE}",
    "--config.target_madds=1_500_000",
)
# %all-reduce.1 is all of it that is a collective; in the loop it is started first.
PROGRAM = """
HloModule jit__fun, is_scheduled=true

%body (p: f32[4]) -> f32[4] {
  %all-reduce-start = f32[4]{0:T(128)} all-reduce-start(%p), channel_id=2
  ROOT %all-reduce-done = f32[4]{0:T(128)} all-reduce-done(%all-reduce-start)
}

ENTRY %main (a: f32[4]) -> f32[] {
  %all-reduce.1 = (f32[64,10]{0,1:T(8,128)S(1)}, /*index=1*/bf16[3]{0}, pred[5]{0}, \
f32[]{:T(128)}) all-reduce(%fusion.1, %f.2, %f.3, %f.4), to_apply=%region_65
  %get-tuple-element.1 = f32[]{:T(128)} get-tuple-element(%all-reduce.1), index=3
  ROOT %all-gather = s32[16,2]{1,0} all-gather(%all-reduce.1), dimensions={0}
}
"""


def run(*arguments):
    """Output and errors of the command, in a process that may load libtpu."""
    return run_python("-m", "ifnas_jax.preflight", *COMMAND, *arguments)


def run_python(*arguments):
    command = [sys.executable, *arguments]
    # What is tested does not depend on how hard the compiler tries.
    environment = {"JAX_EXEC_TIME_OPTIMIZATION_EFFORT": "-1.0"}
    environment |= {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def architecture_file(tmp_path):
    space = lchain(1, NODES)
    # What compiles soon.
    edges = (KeptEdge(0, 1, ("skip_connect",)),)
    stages = tuple(KeptStage(stage, edges) for stage in space.stages)
    path = tmp_path / "architecture.json"
    Architecture(space, stages, Macro(WIDTH, 10, SIZE, 1, "small")).save(path)
    return path


@pytest.mark.parametrize("job", ["search", "retrain"])
def test_what_a_step_needs(job, architecture_file):
    arguments = ["--topology=v5e:2x2", f"--job={job}", "--json"]
    if job == "retrain":
        arguments.append(f"--architecture={architecture_file}")
        arguments.append("--config.retrain.auxiliary_weight=0")
    out, err = run(*arguments)
    facts = json.loads(out)
    assert "TPU v5 lite" in facts["kind"]
    assert (facts["devices"], facts["dtype"]) == (4, "bfloat16")
    batch = {"search": 32, "retrain": 64}[job]
    assert facts["batch"] == {"device": batch // 4, "global": batch}
    memory, params = facts["memory"], facts["params_bytes"]
    image = SIZE * SIZE * batch // 4
    # Parameters, their momentum, the images' bytes; the state goes where it was.
    assert memory["arguments"] >= 2 * params + image
    assert 0 < memory["outputs"] < params
    assert 2 * image <= memory["waiting"] < 3 * image
    # A retraining so small has all of them on the chip.
    assert memory["temporaries"] > (image if job == "search" else -1)
    parts = "arguments", "outputs", "temporaries", "code", "waiting"
    assert memory["needed"] == sum(memory[part] for part in parts)
    assert facts["fits"]
    assert 10 * memory["needed"] < memory["available"]
    assert 15 * 2**30 < memory["available"] <= 16 * 2**30
    # The gradients are reduced, at once; nothing else moves over the pod.
    (reduced,) = facts["collectives"]
    assert (reduced["kind"], reduced["count"]) == ("all-reduce", 1)
    assert params <= reduced["bytes"] < 1.2 * params
    assert "fits" in err and "E0000" not in err


REFUSED = {
    "--topology is 'v5e:3x3'": ["--topology=v5e:3x3"],
    "--topology is 'h100:2x2'": ["--topology=h100:2x2"],
    "search.batch_size is 40, which the 16 devices don't divide": [
        "--topology=v5e:4x4",
        "--config.search.batch_size=40",
    ],
}
ALL = """
import json, sys
from ifnas_jax.preflight.__main__ import main
print([main(arguments) for arguments in json.loads(sys.argv[1])])
"""


def test_refused():
    """In one process, since loading libtpu takes a while."""
    lines = [[*COMMAND, *arguments] for arguments in REFUSED.values()]
    out, err = run_python("-c", ALL, json.dumps(lines))
    assert out == "[2, 2, 2]\n"
    for line, message in zip(err.splitlines(), REFUSED, strict=True):
        assert line.startswith(f"preflight: {message}")


def test_refused_before_anything_is_loaded(monkeypatch, capsys):
    arguments = [*COMMAND, "--topology=v5e:2x2"]
    assert main([*arguments, "--architecture=a.json"]) == 2
    assert "--job=retrain" in capsys.readouterr().err
    assert main([*arguments, "--config.darts.order=2"]) == 2
    assert "darts.order is 2, but method 'ifnas'" in capsys.readouterr().err
    assert main([*arguments, "--config.seeds=2"]) == 2
    assert "seeds is 2, but preflight compiles" in capsys.readouterr().err
    monkeypatch.setattr(tpu, "is_installed", lambda: False)
    assert main(arguments) == 2
    assert "pip install -e '.[preflight]'" in capsys.readouterr().err


def test_collectives():
    assert compiler.collectives(PROGRAM) == [
        compiler.Collective("all-gather", 1, 4 * 32),
        compiler.Collective("all-reduce", 2, 4 * (640 + 1 + 4) + 2 * 3 + 5),
    ]
    assert compiler.collectives("%a = f32[2] add(%all-reduce, %all-gather)") == []


@pytest.mark.parametrize("limit", [7, 8, 100, 503, 1000, 10**6])
@pytest.mark.parametrize("guess", [1, 32, 500, 10**7])
def test_largest_batch(limit, guess):
    tried, most = [], 5000

    def fits(batch):
        tried.append(batch)
        return batch <= limit

    best = compiler.largest_batch(fits, guess, most)
    assert best == min(limit, most) // 8 * 8
    assert max(tried) <= most
    # Each is a compilation.
    assert len(tried) == len(set(tried)) <= (2 if abs(guess - limit) < 8 else 19)


@pytest.fixture
def fake_compiler(monkeypatch):
    """One that is made up: an image takes a byte of 1000, and 2000 it refuses."""

    class Device:
        device_kind, process_index = "made up", 0

    def compile_for(step, arguments, devices):
        images = arguments[-1]["image"].shape[1]
        memory = compiler.Memory(images, 0, 0, 0) if images < 2000 else None
        return compiler.Program(0.5, memory, [], "" if memory else "used 2000 of 1000")

    monkeypatch.setattr(compiler, "topology_devices", lambda name: [Device()] * 2)
    monkeypatch.setattr(compiler, "device_memory", lambda devices: 1000)
    monkeypatch.setattr(compiler, "compile_for", compile_for)
    # Of batches that wait.
    monkeypatch.setattr(steps.Step, "waiting_bytes", 5)


def test_find_batch_of_a_drawn_network(fake_compiler, capsys):
    arguments = [*COMMAND, "--topology=x", "--job=retrain", "--json", "--find-batch"]
    assert main([*arguments, "--config.random.band=0.5"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["architecture"].startswith("drawn at random (derive target, seed 0)")
    assert facts["batch"] == {"device": 32, "global": 64}
    found = facts["largest_batch"]
    assert (found["device"], found["global"]) == (992, 1984)
    # Of 32, 864 (32 in proportion), 992 and 1000.
    assert found["compilations"] == 4


@pytest.mark.parametrize(
    ("images", "words"),
    [(995, "fits           1000 B of 1000 B"), (996, "1001 B of 1000 B")],
)
def test_last_byte(fake_compiler, capsys, images, words):
    size = f"--config.search.batch_size={2 * images}"
    code = main([*COMMAND, "--topology=x", size])
    out = capsys.readouterr().out
    assert code == (images > 995)
    assert words in out
    assert ("does not fit" in out) == bool(code)


def test_refusal_of_the_compiler(fake_compiler, capsys):
    code = main([*COMMAND, "--topology=x", "--config.search.batch_size=8000", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert (code, facts["fits"]) == (1, False)
    assert facts["refusal"] == "used 2000 of 1000"
    assert facts["memory"]["needed"] is None


def test_what_is_documented_is_what_was_measured():
    root = pathlib.Path(__file__).parents[1]
    page = (root / "docs" / "preflight.md").read_text()
    rows = json.loads((root / "benchmarks" / "results" / "preflight.json").read_text())
    lines = [markdown(row) for row in rows if "largest_batch" not in row]
    assert re.findall(r"(?m)^\| (?:search|retraining).*", page) == lines
    shown = re.findall(r"(?m)^\$ (.*)\n((?:[^$`].*\n)+)", page)
    assert len(shown) == 3
    for command, printed in shown:
        (row,) = [row for row in rows if row["command"] == command]
        whole = table(row) + "\n"
        assert whole.endswith(printed.removeprefix("...\n")), command
        assert "..." in printed or whole == printed
