"""What may take the place of a pruned pre-1 edge: a closed edge, or an open one?

    python -m benchmarks.backbone [--seed=0] [--json=FILE]

Outside its group a node reads its backbone alone, the nearest edge that is left. A
search of `lchain4:mnist5k`, with C = 16, is planted with one node a stage that listens
to its third precursor (logit 1.5, that of pre-1 -1.5). Nothing is removed, so that μ
grows to the end and closes pre-2, too. Every 50 steps from the first pruning on, the
super-network is evaluated on the same training images, in all sampling steps of a loop:
as it is; without the three pre-1 edges, so that pre-2 takes their place, which passes
one node by; and without pre-2 either, so that pre-3 does, which passes two by.
"""

import sys
from collections.abc import Sequence

import jax.numpy as jnp

from benchmarks import pruning_events
from ifnas_jax import command, files
from ifnas_jax.architecture import delete_unread
from ifnas_jax.architecture.masks import Kept
from ifnas_jax.config.command_line import load_config
from ifnas_jax.errors import PreemptedError
from ifnas_jax.run import result
from ifnas_jax.runtime import distributed
from ifnas_jax.searching.step import Search
from ifnas_jax.spaces.graph import Space

# The planted node of each stage.
PLANTED = (5, 5, 4)
EVERY = 50


class Watched(pruning_events.Watched):
    """A planted search from which nothing is removed.

    Attributes:
      job: the search, as it is but for what is planted and measured.
      events: a row for each time that it was evaluated.
    """

    def __init__(self, job: Search, dataset):
        super().__init__(_plant(job), dataset)

    def _pruned(self, kept: Kept, gates):
        step = int(self._state.step)
        if step % EVERY == 0:
            own = [
                [float(f"{gate:.4g}") for gate in beta[node - 1]]
                for beta, node in zip(gates.beta, PLANTED, strict=True)
            ]
            space = self.job.net.space
            self.events.append(
                {
                    "step": step,
                    "gates": own,
                    "accuracy": self._accuracy(kept),
                    "by_pre2": self._accuracy(_without(space, kept, nearer=1)),
                    "by_pre3": self._accuracy(_without(space, kept, nearer=2)),
                }
            )
        return kept, []


def _plant(job: Search) -> Search:
    def init(rng):
        arch = job.method.init(rng)
        beta = tuple(
            stage.at[node - 1, jnp.array([0, 2])].set(jnp.array([-1.5, 1.5]))
            for stage, node in zip(arch["beta"], PLANTED, strict=True)
        )
        return {**arch, "beta": beta}

    return job._replace(method=job.method._replace(init=init))


def _without(space: Space, kept: Kept, nearer: int) -> Kept:
    """Without so many of the nearest edges of each planted node."""
    after = [stage.copy() for stage in kept]
    for stage, node in zip(after, PLANTED, strict=True):
        stage[node - 1, :nearer] = False
    return tuple(delete_unread(space.stages, after))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit code."""
    parser = command.make_parser("benchmarks.backbone", __doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", default="", metavar="FILE")
    arguments = parser.parse_args(argv)
    try:
        config = load_config("lchain4:mnist5k", [])
        config.seed = arguments.seed
        config.macro.search_width = 16  # whatever the preset has
        config.search.max_epochs = 8.0
        config.penalty.prune_epochs = 5.0
        rows = pruning_events.measure(config, Watched)["events"]
        for row in rows:
            print(
                f"step {row['step']}, pre-2 at most "
                f"{max(own[1] for own in row['gates'])}: {row['accuracy']:.1%}; with "
                f"pre-2 as backbone {row['by_pre2']:.1%}, pre-3 {row['by_pre3']:.1%}"
            )
        told = {"seed": arguments.seed, "planted": PLANTED, "rows": rows}
        told |= {"images": pruning_events.IMAGES, "versions": result.versions()}
        told |= {"devices": distributed.describe_devices()}
        if arguments.json:
            files.write_json(arguments.json, told)
    except PreemptedError:
        print("backbone: stopped; nothing of it is kept.", file=sys.stderr)
        return 75
    except command.ERRORS as error:
        return command.failed("backbone", error, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(command.run("backbone", main))
