"""One name for all commands: `ifnas COMMAND ...`, or `python -m ifnas_jax COMMAND ...`.

    ifnas run --config=lchain4:mnist5k --workdir=runs/first

Each is also a module: `ifnas run` is `python -m ifnas_jax.main`. `ifnas COMMAND --help`
says what it takes; flags without a command are those of `run`.
"""

import importlib
import importlib.metadata
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ifnas_jax import command


class _Command(NamedTuple):
    module: str
    name: str  # in what is said of it
    answers: bool  # whether it is there for what it prints
    help: str


_COMMANDS = {
    "run": _Command("main", "ifnas_jax", False, "search, derive, retrain and test"),
    "inspect": _Command(
        "inspect", "inspect", True, "a space, or a network, in numbers"
    ),
    "report": _Command("report.__main__", "report", True, "draw a run's page again"),
    "compare": _Command("compare", "compare", True, "runs beside each other"),
    "evaluate": _Command(
        "evaluate", "evaluate", True, "test a trained network, or show it images"
    ),
    "front": _Command(
        "front", "front", True, "networks of other budgets, of the same search"
    ),
    "export": _Command("export", "export", False, "a trained network for others"),
    "prepare": _Command("data.prepare", "prepare", True, "a data set, beforehand"),
    "preflight": _Command(
        "preflight.__main__", "preflight", True, "compile for TPUs that aren't attached"
    ),
    "experiments": _Command(
        "experiments.__main__", "experiments", True, "the paper's tables and figures"
    ),
    "testbed": _Command(
        "testbed.__main__", "testbed", True, "methods against a table of all networks"
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command that is named; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] == "--version":
        print(f"ifnas_jax {importlib.metadata.version('ifnas_jax')}")
        return 0
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0 if words else 2
    if words[0].startswith("-"):
        words.insert(0, "run")
    name, *rest = words
    if name not in _COMMANDS:
        known = ", ".join(_COMMANDS)
        print(f"ifnas: {name!r} is no command; choose one of {known}.", file=sys.stderr)
        return 2
    chosen = _COMMANDS[name]
    module = importlib.import_module(f"ifnas_jax.{chosen.module}")
    run: Callable[[], int] = lambda: module.main(rest)  # noqa: E731
    return command.run(chosen.name, run, answers=chosen.answers)


def _help() -> str:
    summary, _, usage = __doc__.partition("\n\n")
    width = max(map(len, _COMMANDS))
    rows = [f"  {name:{width}}  {own.help}" for name, own in _COMMANDS.items()]
    return "\n".join([summary, "", usage.rstrip(), "", "commands:", *rows])


if __name__ == "__main__":
    sys.exit(main())
