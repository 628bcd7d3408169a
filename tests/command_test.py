"""How commands end: nobody reads, Ctrl-C, no such device, files without an end."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

from ifnas_jax import compare, inspect
from ifnas_jax.report import __main__ as report

ROOT = pathlib.Path(__file__).parents[1]
CONFIG = f"--config={ROOT}/configs/lchain4.py:mnist5k"


def begin(*line, **changes):
    """Starts a command whose warnings are errors, its stdout and stderr apart."""
    module, *flags = map(str, line)
    command = [sys.executable, "-W", "error", "-m", f"ifnas_jax.{module}", *flags]
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, text=True, **pipes | changes)


def end(*line, **changes):
    """Runs a command; its exit code, output and errors."""
    process = begin(*line, **changes)
    output, error = process.communicate(timeout=120)
    return process.returncode, output, error


def unread(*line):
    """Runs a command whose reader is gone; its exit code and errors."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as stdout:
        code, _, error = end(*line, stdout=stdout)
    return code, error


@pytest.fixture
def workdir(finished, tmp_path):
    """The finished run, to be written to, without its checkpoints."""
    skipped = shutil.ignore_patterns("checkpoints")
    return shutil.copytree(finished[0], tmp_path / "run", ignore=skipped)


def answering(workdir, tmp_path):
    """Commands that are there for what they print."""
    return [
        ("inspect", CONFIG),
        ("inspect", f"--architecture={workdir}/search/architecture.json"),
        ("compare", workdir, f"--html={tmp_path}/compare.html"),
        ("report", f"--workdir={workdir}"),
    ]


def test_a_command_that_nobody_reads_does_its_work_and_says_nothing(workdir, tmp_path):
    for line in answering(workdir, tmp_path):
        assert unread(*line) == (141, ""), line
    assert (tmp_path / "compare.html").stat().st_size > 1000
    # One that is there for what it writes has done what it is for.
    line = "export", f"--workdir={workdir}", f"--out={tmp_path}/out", "--weights=none"
    assert unread(*line) == (0, "")
    assert (tmp_path / "out" / "network.py").exists()
    # A refusal stays one.
    code, error = unread("compare", tmp_path)
    assert (code, error.count("\n")) == (2, 1)


def test_a_run_goes_on_when_nobody_reads_its_progress(tiny_flags, tmp_path):
    changes = {"jobs": "('search',)"}  # of a program that is compiled already
    reading, writing = os.pipe()
    with open(writing, "wb") as both:
        flags = tiny_flags(tmp_path, **changes)
        process = begin("main", *flags, stdout=both, stderr=both)
    assert os.read(reading, 10)
    os.close(reading)
    assert process.wait(timeout=300) == 0
    assert (tmp_path / "result.json").exists()


def test_a_full_disk_is_said_and_a_closed_stdout_is_no_error():
    with open("/dev/full", "wb") as full:
        code, _, error = end("inspect", CONFIG, stdout=full)
    assert code == 4
    assert error == (
        "inspect: stdout can't be written (No space left on device); mend that.\n"
    )
    line = [sys.executable, "-W", "error", "-m", "ifnas_jax.inspect", CONFIG]
    shell = ["sh", "-c", '"$@" >&- 2>&-', "sh", *line]
    done = subprocess.run(shell, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    "changes",
    [
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "ascii:strict"},
    ],
)
def test_what_an_encoding_lacks_is_printed_in_another_way(changes, workdir, tmp_path):
    env = {**os.environ, **changes}
    for line in answering(workdir, tmp_path):
        code, output, error = end(*line, env=env)
        assert (code, error) == (0, ""), line
        assert output and output.isascii()
    assert r"--group \u03bb" in end("inspect", "--help", env=env)[1]


RUN = """
import atexit, gc, sys, time
from ifnas_jax import command

def main():
    print("é", flush=True)
    sys.stderr.write("a\\n")
    if sys.argv[1] == "leaving":
        atexit.register(time.sleep, 60)
    if sys.argv[1] == "collecting":
        gc.callbacks.append(lambda *unused: time.sleep(1))
        gc.collect()
    if sys.argv[1] in ("working", "collecting"):
        time.sleep(60)
    return 3

sys.exit(command.run("x", main))
"""


@pytest.mark.parametrize("flags", [(), ("-u",)])
def test_output_is_printed_when_it_was_and_ctrl_c_is_one_sentence(flags):
    command = [sys.executable, "-W", "error", *flags, "-c", RUN]
    done = subprocess.run([*command, "done"], capture_output=True)
    assert (done.returncode, done.stdout) == (3, "é\n".encode())
    assert done.stderr == b"a\n"
    said = b"x: interrupted; the same command starts again.\n"
    cases = ("working", 130, said), ("collecting", 130, said), ("leaving", -2, b"")
    for where, code, sentence in cases:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen([*command, where], **pipes)
        assert process.stdout.readline() and process.stderr.readline()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
        assert (process.returncode, error) == (code, sentence)


def test_every_command_ends_so():
    one_name, found = ROOT / "ifnas_jax" / "__main__.py", 0
    for path in (ROOT / "ifnas_jax").rglob("*.py"):
        text = path.read_text("utf-8")
        if "__main__" in text and path != one_name:
            found += 1
            assert "\n    sys.exit(command.run(" in text, path
    assert found == 11
    # It runs each of them so.
    assert "\n    return command.run(" in one_name.read_text("utf-8")


def test_a_platform_that_is_not_here_is_said_where_it_is_needed(
    finished, tiny_flags, tmp_path
):
    workdir, out = finished[0], tmp_path / "out"
    needing = [
        ("main", *tiny_flags(tmp_path / "new")),
        ("export", f"--workdir={workdir}", f"--out={out}"),
    ]
    for platform in ("absent", "cuda"):
        env = {**os.environ, "JAX_PLATFORMS": platform, "CUDA_VISIBLE_DEVICES": ""}
        for line in needing:
            code, _, error = end(*line, env=env)
            assert (code, error.count("\n")) == (2, 1), error
            assert f"JAX_PLATFORMS is {platform!r}, which can't be used" in error
        assert end("main", *tiny_flags(workdir), env=env)[0] == 0
        assert end("compare", workdir, env=env)[0] == 0
    assert not list(tmp_path.iterdir())


def test_files_without_an_end_or_a_writer_are_refused_at_once(
    workdir, tmp_path, capsys
):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    file = workdir / "search" / "metrics.jsonl"
    file.unlink()
    os.mkfifo(file)
    cases = [
        (inspect, "--architecture=/dev/zero"),
        (inspect, f"--architecture={pipe}"),
        (inspect, f"--architecture={tmp_path}"),
        (inspect, "--config=/dev/zero"),
        (inspect, f"--config={pipe}"),
        (inspect, f"--config={tmp_path}"),
        (compare, str(workdir)),
        (report, f"--workdir={workdir}"),
    ]
    for module, argument in cases:
        assert module.main([argument]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1, error
        assert error.endswith(".\n")


def test_an_architecture_may_come_through_a_pipe_that_ends_in_time(finished):
    path = finished[0] / "search" / "architecture.json"
    reading = "inspect", "--architecture=/dev/stdin"
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as source:
        assert end(*reading, stdin=source.stdout)[0] == 0
    with subprocess.Popen(["cat", "/dev/zero"], stdout=subprocess.PIPE) as source:
        code, _, error = end(*reading, stdin=source.stdout)
        source.stdout.close()
    assert (code, "it has more than 64 MB" in error) == (2, True)


# A command that says one line, and waits.
SAYS = """
import sys, time
from ifnas_jax import command
def main():
    print("waiting", file=sys.stderr, flush=True)
    time.sleep(60)
sys.exit(command.run("a command", main))
"""


def test_ctrl_c_just_after_a_line_does_not_print_it_again():
    # It comes while the line is still being written, or nearly: most of the times.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", SAYS],
            text=True,
            stdout=subprocess.PIPE,
            env=env,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
        )
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 130
        assert output == "a command: interrupted; the same command starts again.\n"
