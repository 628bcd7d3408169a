"""What does each pruning cost in training accuracy? Measured on the same images.

    python -m benchmarks.pruning_events [--config=NAME] [--seeds=5] [--json=FILE]

Searches as `ifnas_jax.main` does. At each event of gradual pruning it evaluates the
super-network on the same training images just before and just after it, in every
sampling step of a loop: whole, and with each group. The mean over them is what the
training accuracy of a loop is the mean of, without the chance of its few hundred
images, which alone is 1.5 points up or down. Seeds that FILE has are not repeated.
"""

import dataclasses
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from ifnas_jax import command, files, jobs, storage, training
from ifnas_jax import config as config_lib
from ifnas_jax.config.command_line import load_config
from ifnas_jax.config.validation import validate
from ifnas_jax.data.views import Picked
from ifnas_jax.errors import InputError, PreemptedError
from ifnas_jax.run import result
from ifnas_jax.run.workdir import Workdir
from ifnas_jax.runtime import distributed
from ifnas_jax.searching import make, step
from ifnas_jax.searching.job import search

# Of the training part that each evaluation reads.
IMAGES = 512
# Of the config, what tells whether FILE's rows are of the same preset.
GROUPS = ("macro", "search", "penalty", "relaxation")


class Watched:
    """A search whose prunings are measured.

    Attributes:
      job: the search, as it is but for what is measured.
      events: a row for each pruning that removed something.
    """

    def __init__(self, job: step.Search, dataset):
        self.events: list[dict[str, Any]] = []
        self._prune, self._state = job.method.prune, None
        self.job = job._replace(method=job.method._replace(prune=self._pruned))
        count = min(IMAGES, len(dataset.train))
        rows = np.linspace(0, len(dataset.train) - 1, count).astype(int)
        self._seen = dataclasses.replace(dataset, valid=Picked(dataset.train, rows))

    def compile_steps(self, job, dataset, state, batch):
        """As `searching.step.compile_steps`."""
        steps, seconds = step.compile_steps(job, dataset, state, batch)
        config = job.config.copy_and_resolve_references()
        config.search.valid_every = 1  # So that there is what evaluates.
        evaluating = job._replace(config=config)
        self._evaluate, _ = step.compile_validation(
            evaluating, self._seen, state, batch
        )

        def train(*arguments):
            self._state, metrics = steps.train(*arguments)
            return self._state, metrics

        return training.Steps(train, steps.evaluate), seconds

    def _pruned(self, kept, gates):
        after, removals = self._prune(kept, gates)
        if removals:
            self.events.append(
                {
                    "step": int(self._state.step),
                    "edges_before": _edges(kept),
                    "edges_after": _edges(after),
                    "removed": [
                        f"{r.stage}: {r.src}-{r.dst} {r.op}, {r.reason} {r.gate}"
                        for r in removals
                    ],
                    "accuracy_before": self._accuracy(kept),
                    "accuracy_after": self._accuracy(after),
                }
            )
        return after, removals

    def _accuracy(self, kept) -> float:
        """The mean over the sampling steps of a loop, a fraction."""
        loop = int(self._state.step) // self.job.schedule.loop
        stacked = self.job.method.masks(kept, loop)
        count = len(jax.tree.leaves(stacked)[0])
        one = [jax.tree.map(lambda mask, i=i: mask[i], stacked) for i in range(count)]
        return float(np.mean([self._evaluate(self._state, masks) for masks in one]))


def _edges(kept) -> int:
    return int(sum(stage.any(axis=2).sum() for stage in kept))


def measure(config, watch: type[Watched] = Watched) -> dict[str, Any]:
    """The events of one search, as `watch` sees it, and how it ended."""
    validate(config)
    config_lib.resolve(config, None)
    dataset = jobs.open_data(config, resumed=False)
    config.dataset.num_classes = dataset.num_classes
    job = make.make_search(config, dataset)
    make.check(job, dataset)
    watched = watch(job, dataset)
    with tempfile.TemporaryDirectory() as folder:
        workdir = Workdir(folder)
        storage.write_text(workdir.config, config_lib.to_json(config))
        name = f"search, seed {config.seed}"
        search(watched.job, dataset, workdir, watched.compile_steps, name)
        summary = files.read_json(workdir.search.summary)
    return {
        "seed": config.seed,
        "met_by": summary["target_met_by"],
        "steps": summary["steps"],
        "events": watched.events,
    }


def largest(events: Sequence[dict[str, Any]]) -> dict[str, float]:
    """What one pruning cost at most in accuracy, and in edges: fractions."""
    drops = [row["accuracy_before"] - row["accuracy_after"] for row in events]
    shares = [1 - row["edges_after"] / row["edges_before"] for row in events]
    return {
        "largest_drop": round(max(drops, default=0.0), 4),
        "largest_share_of_edges": round(max(shares, default=0.0), 4),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit code."""
    parser = command.make_parser("benchmarks.pruning_events", __doc__)
    parser.add_argument("--config", default="lchain4:mnist5k", metavar="NAME")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", default="", metavar="FILE")
    arguments, overrides = parser.parse_known_args(argv)
    facts = {"config": arguments.config, "overrides": overrides, "images": IMAGES}
    try:
        # Presets change, and so does the order of pruning: rows of others are none
        # of these.
        own = load_config(arguments.config, overrides)
        facts |= {group: own[group].to_dict() for group in GROUPS}
        facts |= {"order": "nearest last"}
        rows = _kept(arguments.json, facts)
        for seed in range(arguments.seeds):
            if any(row["seed"] == seed for row in rows):
                continue
            config = load_config(arguments.config, overrides)
            config.seed = seed
            row = measure(config)
            rows.append(row | largest(row["events"]))
            machine = {
                "devices": distributed.describe_devices(),
                "versions": result.versions(),
            }
            if arguments.json:
                files.write_json(arguments.json, facts | machine | {"seeds": rows})
        print("\n".join(map(_describe, rows)))
    except PreemptedError:
        print("pruning_events: stopped; seeds that are done are kept.", file=sys.stderr)
        return 75
    except command.ERRORS as error:
        return command.failed("pruning_events", error, arguments.json)
    return 0


def _kept(path: str, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of an earlier start that asked for the same."""
    if not path or not storage.exists(path):
        return []
    told = files.read_json(path, {"seeds": list})
    if not facts.items() <= told.items():
        raise InputError(f"--json {path!r} has another config's rows; name a new file.")
    return told["seeds"]


def _describe(row: dict[str, Any]) -> str:
    return (
        f"seed {row['seed']}: {len(row['events'])} prunings in {row['steps']} steps, "
        f"met by {row['met_by']}; at most {100 * row['largest_share_of_edges']:.1f} % "
        f"of the edges and {100 * row['largest_drop']:.1f} points at once"
    )


if __name__ == "__main__":
    sys.exit(command.run("pruning_events", main))
