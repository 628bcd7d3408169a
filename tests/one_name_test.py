"""One name for all commands."""

import importlib
import importlib.metadata
import json
import subprocess
import sys

import pytest

from ifnas_jax import __main__ as ifnas


def test_help_lists_the_commands_and_each_is_a_module(capsys):
    assert ifnas.main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, own in ifnas._COMMANDS.items():
        assert f"  {name} " in shown
        with pytest.raises(SystemExit) as ended:
            importlib.import_module(f"ifnas_jax.{own.module}").main(["--help"])
        assert ended.value.code == 0
    assert ifnas.main([]) == 2


def test_version(capsys):
    assert ifnas.main(["--version"]) == 0
    version = importlib.metadata.version("ifnas_jax")
    assert capsys.readouterr().out == f"ifnas_jax {version}\n"


def test_an_unknown_command_is_refused(capsys):
    assert ifnas.main(["serach"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ifnas: 'serach' is no command; choose one of run, inspect")


@pytest.mark.parametrize("start", [["ifnas"], [sys.executable, "-m", "ifnas_jax"]])
def test_a_command_runs_as_its_module_does(start, tmp_path):
    """From anywhere, with a config by its name; and its exit code is that of both."""
    words = [f"{sys.exec_prefix}/bin/ifnas"] if start == ["ifnas"] else start
    done = subprocess.run(
        [*words, "inspect", "--config=lchain6:mnist5k", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["groups"][0][1] == [1]
    done = subprocess.run(
        [*words, "--config=lchain6:mnist5k"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    # Of `run`, which wants a workdir.
    assert done.returncode == 2
    assert "--workdir" in done.stderr
