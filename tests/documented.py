"""What README.md and docs/ show: files, and commands."""

import pathlib
import re
import shlex

ROOT = pathlib.Path(__file__).parents[1]
# What may stand behind ```bash: that a command needs what a test does not have.
MARKS = ("", "pod", "download")


def blocks(page, language):
    """The (mark, text) of each fenced block of a language."""
    text = (ROOT / page).read_text("utf-8")
    pattern = rf"^```{language}(.*)\n((?s:.*?))^```$"
    found = [(m[1].strip(), m[2]) for m in re.finditer(pattern, text, re.MULTILINE)]
    for mark, _ in found:
        assert mark in MARKS, f"{page} has a block marked {mark!r}"
    return found


def follow(page, folder, monkeypatch):
    """Does in a folder what a page says, up to its commands.

    The files that it shows, whose first line is their name, can be imported there.
    """
    for _, text in blocks(page, "python"):
        name, _, code = text.removeprefix("# ").partition("\n")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, "utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(folder)


def commands(text):
    """The words of each command of a block, without `VARIABLE=value` in front."""
    lines = text.replace("\\\n", " ").splitlines()
    found = []
    for words in (shlex.split(line, comments=True) for line in lines):
        while "&&" in words:
            end = words.index("&&")
            found.append(words[:end])
            words = words[end + 1 :]
        found.append(words)
    for words in found:
        while words and re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
    return [words for words in found if words]


def module_flags(page, module):
    """The flags of each command of a page that runs a module."""
    start = ["python", "-m", module]
    return [
        words[3:]
        for _, text in blocks(page, "bash")
        for words in commands(text)
        if words[:3] == start
    ]
