"""Every command that a README and docs/ show is one that its program takes.

Programs read their flags, and configs are made and validated; nothing is run. A block
with other programs is marked: `documented.MARKS`.
"""

import argparse
import configparser
import importlib.util
import re
import sys

import pytest
from documented import ROOT, blocks, commands, follow

from ifnas_jax.config.command_line import load_config
from ifnas_jax.config.validation import check_overrides, validate

PAGES = ["README.md", "launch/README.md"]
PAGES += [f"docs/{path.name}" for path in sorted(ROOT.glob("docs/*.md"))]


def shown(page):
    """The words and the mark of each command of a page.

    Also of those in its text, and of those whose output it shows.
    """
    found = [
        (words, mark) for mark, text in blocks(page, "bash") for words in commands(text)
    ]
    text = (ROOT / page).read_text("utf-8")
    for line in re.findall(r"^\$ (.*)$", text, re.MULTILINE):
        found += [(words, "") for words in commands(line)]
    text = re.sub(r"^```(?s:.*?)^```$", "", text, flags=re.MULTILINE)
    for code in re.findall(r"`(python -m [^`]+)`", text):
        found += [(words, "") for words in commands(" ".join(code.split()))]
    return found


class Parsed(BaseException):
    """What a command's flags were understood as."""


def parse(module, flags, monkeypatch):
    """Runs a module up to where its flags are understood."""
    if importlib.util.find_spec(module).submodule_search_locations:
        module += ".__main__"
    parse_known_args = argparse.ArgumentParser.parse_known_args

    def stop(parser, args=None, namespace=None):
        raise Parsed(*parse_known_args(parser, args, namespace))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", stop)
    monkeypatch.setattr(sys, "argv", [module, *flags])
    with pytest.raises(Parsed) as parsed:
        importlib.import_module(module).main()
    return parsed.value.args


def check_module(module, flags, monkeypatch):
    """The module has these flags, and its config has these fields and is valid."""
    assert importlib.util.find_spec(module), f"there is no module {module}"
    if not flags or not module.startswith(("ifnas_jax.", "benchmarks.")):
        return
    arguments, overrides = parse(module, flags, monkeypatch)
    path = getattr(arguments, "config", None)
    if path is None:
        path = f"{ROOT}/configs/lchain4.py:mnist5k"
    config = load_config(path, overrides)
    check_overrides(config, load_config(path))
    validate(config)


def check_install(words):
    """What is installed are extras that there are."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    for extra in re.findall(r"^\.\[(.*)\]$", words[-1]):
        assert extra in setup["options.extras_require"], f"there is no extra {extra}"


def check(words, mark, monkeypatch):
    program = words[0].removeprefix(".venv/bin/")
    if program in ("python", "python3") and words[1] == "-m":
        check_module(words[2], words[3:], monkeypatch)
    elif program == "pip":
        check_install(words)
    else:
        assert mark, f"{' '.join(words)!r} is checked by nothing, so mark its block"


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_taken_as_they_are_shown(page, tmp_path, monkeypatch):
    if page.startswith("docs/own_"):
        follow(page, tmp_path, monkeypatch)
    found = shown(page)
    assert bool(found) == ("python -m" in (ROOT / page).read_text("utf-8"))
    for words, mark in found:
        with monkeypatch.context() as patch:
            check(words, mark, patch)


@pytest.mark.parametrize("page", PAGES)
def test_no_command_stands_where_it_is_not_checked(page):
    """Such as in a block without fences, or of another language."""
    text = (ROOT / page).read_text("utf-8")
    text = re.sub(r"^```bash.*\n(?s:.*?)^```$", "", text, flags=re.MULTILINE)
    text = re.sub(r"(?<!`)`(?!`)[^`]+`(?!`)", "", text)
    assert not re.findall(r"^(?!\$ ).*python3? -m .*$", text, re.MULTILINE)


@pytest.mark.parametrize(
    "command",
    [
        "python -m ifnas_jax.nothing --config=configs/lchain4.py",
        "python -m ifnas_jax.main --config=configs/lchain4.py --workdir=a --fast",
        "python -m ifnas_jax.main --config=configs/lchain4.py --workdir=a --config.x=1",
        "python -m ifnas_jax.main --config=configs/lchain4.py",
        "python -m ifnas_jax.main --workdir=a --config=configs/lchain4.py:mnist5k"
        " --config.method=sparse",
        ".venv/bin/pip install -e '.[tests]'",
        "kubectl apply -f launch/kubernetes.yaml",
    ],
)
def test_a_command_that_is_wrong_is_seen(command, monkeypatch, capsys):
    (words,) = commands(command)
    with pytest.raises((AssertionError, ValueError, SystemExit)):
        check(words, "", monkeypatch)
