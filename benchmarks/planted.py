"""A planted problem: which methods find the one architecture that is best?

    python -m benchmarks.planted --json=FILE [--methods=ifnas,darts] [--seeds=0,1,2,3,4]

By construction only the nearest inputs carry the signal. An image holds a signal and a
noise of its own. On a direct connection (n-1, n) the operator `sep_conv_3x3` passes the
signal on, through a learned linear map, and `skip_connect` passes it as it is with half
as much noise added; on every longer connection both pass a fixed projection of the
noise in the signal's place. The classes show in the signal alone, so the best network
with one input a node is the plain chain. Only the operators are made up: masks,
relaxation, penalty, derivation and training are the project's own. (Nothing is pruned
while searching, but by GOLD-NAS, whose penalty answers to it.)

Each node keeps its strongest input (`keep1`); a node that has a choice is recovered if
that is the direct one, a seed if all its nodes are; it is an error if IF-NAS misses a
seed. PC-DARTS runs with K = 1, since the channels that pass its operators by would
carry the signal on every edge.
"""

import argparse
import dataclasses
import os
import sys
import tempfile
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ifnas_jax import config as config_lib
from ifnas_jax import files
from ifnas_jax.architecture import load
from ifnas_jax.config.validation import validate
from ifnas_jax.data.source import Dataset
from ifnas_jax.methods import METHODS
from ifnas_jax.nn import macro as macro_parts
from ifnas_jax.nn.supernet import Supernet
from ifnas_jax.run.workdir import Workdir
from ifnas_jax.searching.job import search
from ifnas_jax.searching.make import make_search

NODES, PRECURSORS = (4, 4, 4), 4
# An image has 4 × 4 values: half are signal, half noise, both from -RANGE to RANGE.
HALF, RANGE = 8, 4.0
FIELDS = {
    "space.num_precursors": PRECURSORS,
    "space.nodes": NODES,
    "macro.width": 4,
    "macro.search_width": 4,
    "dataset.image_size": 4,
    "dataset.num_classes": HALF,
    "dataset.padding": 0,
    "relaxation.backbone": "constant",  # the default of other data sets
    "search.weight_decay": 0.0,
    "search.valid_every": 0,
    "search.checkpoint_every": 1000,
    "search.max_epochs": 8.0,
    "bilevel.learning_rate": 0.01,
    "pcdarts.parts": 1,
    "random.candidates": 50,
    "retrain.auxiliary_weight": 0.0,
    "derive": "keep1",
}
VARIANTS = {name: {"method": name} for name in METHODS}
VARIANTS["darts2"] = {"method": "darts", "darts.order": 2}


class Planted(nn.Module):
    """An operator; the constants of its edge say what it passes on.

    They are parameters, so that they can differ from edge to edge; they do not move.
    """

    learned: bool

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """[batch, 1, 1, signal and noise] to the same shape; the noise stays."""
        del train
        orthogonal = nn.initializers.orthogonal()
        direct = self.param("direct", nn.initializers.zeros, ())
        wrong = self.param("wrong", orthogonal, (HALF, HALF))
        signal, noise = (_normalised(half) for half in jnp.split(x, 2, axis=-1))
        wrong, direct = jax.lax.stop_gradient((wrong, direct))
        other = noise @ wrong
        if self.learned:
            own = nn.Dense(HALF, use_bias=False, kernel_init=orthogonal)(signal)
        else:
            own = signal + 0.5 * other
        passed = jnp.where(direct > 0, own, other)
        return jnp.concatenate([_normalised(passed), noise], axis=-1)


def _normalised(x):
    """To a mean square of 1, as batch norm keeps the scale of a network's nodes."""
    return x / jnp.sqrt(jnp.square(x).mean(axis=-1, keepdims=True) + 1e-6)


class Stem(nn.Module):
    """The values of an image as channels."""

    def __call__(self, images, train: bool):
        """[batch, 4, 4, 1] to one array [batch, 1, 1, 16]."""
        del train
        return (RANGE * images.reshape(len(images), 1, 1, -1),)


class Input(nn.Module):
    """Node 0 of a stage: the output of the one before."""

    def __call__(self, x, train: bool):
        """[batch, 1, 1, 16] to [1, batch, 1, 1, 16]."""
        del train
        return x[None]


class Classifier(nn.Module):
    """Reads the signal alone."""

    @nn.compact
    def __call__(self, x, train: bool):
        """[batch, 1, 1, 16] to logits [batch, classes]."""
        del train
        return nn.Dense(HALF)(_normalised(x[:, 0, 0, :HALF]))


@dataclasses.dataclass(frozen=True)
class PlantedSupernet(Supernet):
    """The super-network of the planted problem; its `macro` only prices it."""

    def operator(self, name: str, level: int, stride: int = 1) -> nn.Module:
        """The same at every level; `init` marks the edges that pass the signal."""
        return Planted(learned=name == "sep_conv_3x3")

    def parts(self) -> macro_parts.FixedParts:
        """Nothing around the stages but the classifier."""
        return macro_parts.FixedParts(Stem(), [Input()] * 3, Classifier())

    def init(self, rng: jax.Array) -> dict[str, Any]:
        """Parameters, as a super-network's."""
        x = jnp.zeros((1, 1, 1, 2 * HALF))
        stages = []
        for index, graph in enumerate(self.space.stages):
            key, shape = jax.random.fold_in(rng, index), graph.valid().shape
            stacked = self._init_operators(key, shape, index, 1, x)
            for params in stacked.values():
                params["direct"] = params["direct"].at[:, 0].set(1.0)
            stages.append(stacked)
        empty = [{} for _ in stages]
        classifier = Classifier().init(jax.random.fold_in(rng, len(stages)), x, True)
        return {
            "stem": {},
            "inputs": empty,
            "stages": stages,
            "strided": empty,
            "classifier": classifier["params"],
        }


class Examples:
    """A data set's part: a class is a direction of the signal."""

    def __init__(self, count: int, noise: float, seed: int):
        rng = np.random.default_rng(seed)
        self.labels = rng.integers(HALF, size=count)
        signal = 2 * np.eye(HALF)[self.labels] + 0.5 * rng.normal(size=(count, HALF))
        other = noise * rng.normal(size=(count, HALF))
        self.values = np.concatenate([signal, other], axis=1)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        # As bytes: that is what images are.
        values = (self.values[index] + RANGE) * 255 / (2 * RANGE)
        image = np.clip(np.round(values), 0, 255).astype(np.uint8).reshape(4, 4, 1)
        return {"image": image, "label": int(self.labels[index])}


def recovered(variant: str, seed: int, noise: float = 1.0, **changes) -> list[bool]:
    """Searches once: of each node with a choice, whether it keeps its direct input."""
    config = config_lib.default("mnist5k")
    for name, value in {**FIELDS, **VARIANTS[variant], **changes}.items():
        *groups, field = name.split(".")
        held = config[groups[0]] if groups else config
        held[field] = value
    config.seed = seed
    validate(config)
    config_lib.resolve(config, None)
    config.dtype = "float32"
    data = [Examples(count, noise, seed) for count in (3600, 400, 400)]
    with tempfile.TemporaryDirectory() as workdir:
        dataset = Dataset(HALF, *data)
        job = make_search(config, dataset, PlantedSupernet)
        search(job, dataset, Workdir(workdir))
        found = load(os.path.join(workdir, "search", "architecture.json"))
    return [
        {edge.src for edge in stage.inputs(node)} == {node - 1}
        for stage in found.stages
        for node in range(2, stage.graph.num_nodes + 1)
    ]


def summarise(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Recovery of each method over its seeds."""
    rows = []
    for variant in dict.fromkeys(run["method"] for run in runs):
        nodes = [run["nodes"] for run in runs if run["method"] == variant]
        rows.append(
            {
                "method": variant,
                "nodes_recovered": sum(map(sum, nodes)),
                "nodes": sum(map(len, nodes)),
                "seeds_recovered": sum(map(all, nodes)),
                "seeds": len(nodes),
            }
        )
    return rows


def main(argv=None) -> None:
    """Searches with every method and seed, and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", default=",".join(VARIANTS), help="with commas")
    parser.add_argument("--seeds", default="0,1,2,3,4", help="with commas")
    parser.add_argument("--noise", type=float, default=1.0, help="standard deviation")
    parser.add_argument("--json", required=True, help="where to write the table")
    arguments = parser.parse_args(argv)
    command = " ".join(["python -m benchmarks.planted", *sys.argv[1:]])
    runs = []
    if os.path.exists(arguments.json):
        # What the same command did before it was interrupted.
        stored = files.read_json(arguments.json)
        runs = stored["runs"] if stored["command"] == command else []
    done = [(run["method"], run["seed"]) for run in runs]
    for variant in arguments.methods.split(","):
        for seed in (int(seed) for seed in arguments.seeds.split(",")):
            if (variant, seed) not in done:
                nodes = recovered(variant, seed, arguments.noise)
                runs.append({"method": variant, "seed": seed, "nodes": nodes})
            table = {"command": command, "rows": summarise(runs), "runs": runs}
            files.write_json(arguments.json, table)
    for row in table["rows"]:
        print(
            f"{row['method']:10} nodes {row['nodes_recovered']:3} of {row['nodes']}  "
            f"seeds {row['seeds_recovered']} of {row['seeds']}"
        )
    for row in table["rows"]:
        if row["method"] == "ifnas" and row["seeds_recovered"] < row["seeds"]:
            sys.exit("IF-NAS missed the planted architecture.")


if __name__ == "__main__":
    main()
