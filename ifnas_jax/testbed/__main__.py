"""Holds search methods against a table of every network: regret, rank, Kendall's τ.

    python -m ifnas_jax.testbed --table=FILE.npz --workdir=runs/bed
    python -m ifnas_jax.testbed --table=FILE.npz --workdir=runs/bed --config.method=X:Y

Each method searches in the table's space with some seeds, and the table says how far
what it found is from the best network that costs no more: its regret. Beside it stands
the regret of a random search that trains as many networks as the search could have
paid.

All methods, or the one that --config.method names; fields of the search can be set so.
What is done is not repeated; one method stands beside the others that are done. Tables
are printed, and written as Markdown, CSV, LaTeX and JSON, with a figure, to
DIR/results/.
"""

import argparse
import json
import os
import shlex
import signal
import sys
import zlib
from collections.abc import Mapping, Sequence

from ifnas_jax import command, storage, tabular
from ifnas_jax import main as one_run
from ifnas_jax.errors import InputError, PreemptedError
from ifnas_jax.experiments import outputs
from ifnas_jax.experiments.drawing import strip_figure
from ifnas_jax.experiments.tables import Table, number, spread
from ifnas_jax.methods import METHODS
from ifnas_jax.testbed.config import search_config
from ifnas_jax.testbed.trials import Trial, checked, known_trials, search_and_judge

_FLAG = "--config."


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments, fields = _parse(words)
    signal.signal(signal.SIGTERM, one_run.stop)
    try:
        return _try(arguments, fields, words)
    except PreemptedError:
        told = "stopped by SIGTERM; the same command goes on from here."
        print(f"testbed: {told}", file=sys.stderr)
        return 75
    except command.ERRORS as error:
        return command.failed("testbed", error, arguments.workdir)


def _parse(words: Sequence[str]) -> tuple[argparse.Namespace, dict[str, str]]:
    parser = command.make_parser("ifnas_jax.testbed", __doc__)
    add = parser.add_argument
    add("--table", required=True, metavar="FILE", help="of benchmarks.tabular")
    add("--workdir", required=True, metavar="DIR", help="keeps the searches")
    add("--seeds", type=int, default=5, metavar="N", help="of each (default: 5)")
    add("--madds", type=int, default=None, metavar="N", help="the target of searches; "
        "default: the median of the table")  # fmt: skip
    add("--data-dir", default="", metavar="DIR", help="of TFDS")
    arguments, rest = parser.parse_known_args(words)
    fields = {}
    for word in rest:
        name, equals, value = word.removeprefix(_FLAG).partition("=")
        if not word.startswith(_FLAG) or not equals:
            parser.error(f"{word!r} is not understood; give --config.FIELD=VALUE.")
        fields[name] = value
    return arguments, fields


def _try(arguments: argparse.Namespace, fields: Mapping[str, str], words) -> int:
    """Tries what is asked for; the exit code: 3 where a search failed."""
    table = tabular.load(arguments.table)
    workdir = storage.named("--workdir", arguments.workdir)
    one, seeds, madds = fields.get("method"), arguments.seeds, arguments.madds
    chosen = [one] if one else list(METHODS)
    # All are refused before the first one runs.
    ready = {
        method: checked(
            table, {**fields, "method": method}, seeds, madds, arguments.data_dir
        )
        for method in chosen
    }
    trials: dict[str, list[Trial]] = {}
    for place, method in enumerate(chosen, start=1):
        print(f"testbed: {method}, {place} of {len(chosen)}", flush=True)
        trials[method] = search_and_judge(table, *ready.pop(method), workdir)
    lines = _about(table, trials, seeds, words)
    if one:
        trials |= _others(table, one, workdir, seeds, madds)
    shown = [summary(trials)]
    outputs.show(shown, lines)
    rows = {name: [own._asdict() for own in found] for name, found in trials.items()}
    raw = {"about": lines, "trials": rows}
    folder = os.path.join(workdir, "results")
    # Other fields, seeds, targets or tables write other files.
    asked = [table.sha256, seeds, madds, sorted(fields.items())]
    digest = zlib.crc32(json.dumps(asked).encode())
    name = f"testbed-{one.replace(':', '.') if one else 'all'}-{digest:08x}"
    figures = {name: _figure(trials)}
    written = outputs.write(folder, name, shown, figures, lines, raw)
    print("\n" + "\n".join(["written:", *(f"  {path}" for path in written)]))
    return 3 if any(len(trials[method]) < seeds for method in chosen) else 0


def _others(table, one: str, workdir: str, seeds: int, madds: int | None):
    """What is known of the other methods."""
    trials = {}
    for method in METHODS:
        try:
            config = search_config(table, {"method": method}, madds)
        except InputError:
            continue  # It can't be tried in this space, so it has not been.
        found = known_trials(table, config, workdir, seeds)
        if found and method != one:
            trials[method] = found
    return trials


def summary(trials: Mapping[str, Sequence[Trial]]) -> Table:
    """A row for each method: the mean over its seeds ± half of the 95 % interval."""
    columns = {
        "MAdds (k)": ("madds", number(0, 1e-3)),
        "top-1 %": ("top1", number(2, 100)),
        "regret, points": ("regret", number(2, 100)),
        "at the target": ("at_target", number(2, 100)),
        "rank": ("rank", number(0)),
        "of": ("within", number(0)),
        "τ": ("tau", number(2)),
        "cost, trainings": ("trainings", number(1)),
        "regret of random search": ("drawn", number(2, 100)),
    }
    rows = []
    for method, found in trials.items():
        row = [method, str(len(found))]
        for field, show in columns.values():
            values = [getattr(own, field) for own in found]
            row.append(spread([x for x in values if x is not None], show))
        rows.append(row)
    note = (
        "Mean ± half of the 95 % interval over searches. Regret and rank: among all "
        "networks that cost no more than what was found; at the target: to the best "
        "network within it. τ: Kendall's, of the "
        "super-network and the table. Random search trains as many networks as the "
        "search could have paid."
    )
    return Table(
        "Searches against the table", ["method", "seeds", *columns], rows, note
    )


def _about(table: tabular.Table, trials, seeds: int, words) -> list[str]:
    rows = len(table.keys)
    lines = [
        f"table: {rows:,} networks, {len(table.seeds)} seeds each, sha256 "
        f"{table.sha256[:16]}; data: {table.facts['dataset']}",
        f"command: {shlex.join(['python', '-m', 'ifnas_jax.testbed', *words])}",
    ]
    for method, found in trials.items():
        if len(found) < seeds:
            lines.append(
                f"failed: {seeds - len(found)} of {seeds} searches of {method}; "
                "summary.json in its folder says why."
            )
        unmet = sum(own.met_by == "fallback" for own in found)
        if unmet:
            lines.append(
                f"{method}: {unmet} of {len(found)} met the target by the fallback."
            )
    return lines


def _figure(trials: Mapping[str, Sequence[Trial]]):
    regrets = {name: [100 * x.regret for x in own] for name, own in trials.items()}
    taus = {
        name: [x.tau for x in own if x.tau is not None] for name, own in trials.items()
    }
    return strip_figure({"regret, points": regrets, "Kendall's τ": taus})


if __name__ == "__main__":
    sys.exit(command.run("testbed", main))
