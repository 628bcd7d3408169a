"""Makes a table of every network of a small L-chain, trained from scratch.

    python -m benchmarks.tabular --num-precursors=2 --nodes=3 --workdir=DIR --out=FILE

Resumable: what is trained is kept in DIR, chunk by chunk. On several machines give each
--part=K/N and, when all are done, one of them all chunks, without --part. --pilot
trains 30 of the networks and says whether seeds differ less than networks do.
"""

import argparse
import json
import os
import sys
import time
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ifnas_jax import command, files, storage, tabular
from ifnas_jax import config as config_lib
from ifnas_jax.architecture import Architecture
from ifnas_jax.errors import InputError
from ifnas_jax.experiments.sweep import part_of
from ifnas_jax.operators.names import OPERATORS
from ifnas_jax.run import result
from ifnas_jax.testbed.config import space_config

# Networks that are trained with one call, and kept together.
_CHUNK = 30
# The stage that is tabulated, from 0: between two that are one node each.
STAGE = 1
TEST_EPOCHS = (1, 2, 4)

# Not settled: networks have to differ by more than their seeds do, and on the digits
# they do not (docs/tabular.md has the pilots).
RECIPE = {
    "macro.width": 4,
    "dataset.image_size": 12,
    "retrain.batch_size": 64,
    "retrain.epochs": TEST_EPOCHS[-1],
    "retrain.learning_rate": 0.2,
    "retrain.warmup_epochs": 1,
    "retrain.final_epochs": 0,
    "retrain.auxiliary_weight": 0.0,
    "dtype": "float32",
}
# Of ten classes in colour: CIFAR-10.
COLOUR = RECIPE | {
    "macro.width": 8,
    "dataset.image_size": 16,
    "dataset.num_classes": 10,
    "dataset.channels": 3,
    "dataset.flip": True,
    "retrain.learning_rate": 0.1,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit code."""
    arguments = _parse(argv)
    try:
        _make(arguments)
    except command.ERRORS as error:
        return command.failed("tabular", error, arguments.out or arguments.workdir)
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command.make_parser("benchmarks.tabular", __doc__)
    add = parser.add_argument
    add("--num-precursors", type=int, default=2, metavar="L")
    add("--nodes", type=int, default=3, metavar="N", help="of the tabulated stage")
    add("--seeds", type=int, default=3, help="trainings of each network (default: 3)")
    add("--workdir", required=True, metavar="DIR", help="keeps what is trained")
    add("--out", default="", metavar="FILE.npz", help="the table, when all is trained")
    add("--part", default="1/1", metavar="K/N", help="run the K-th of N parts")
    add("--pilot", action="store_true", help="30 networks, and how far they differ")
    add("--dataset", default="mnist5k", help="or cifar10, or folder, with ten classes")
    add("--data-dir", default="", metavar="DIR", help="where it is, if not in TFDS'")
    arguments = parser.parse_args(argv)
    if arguments.seeds < 2:
        parser.error(
            f"--seeds is {arguments.seeds}; give 2 or more, to see their noise."
        )
    if arguments.pilot and arguments.out:
        parser.error(
            "--pilot trains some of the networks, which are no table for --out."
        )
    return arguments


def _make(arguments: argparse.Namespace) -> None:
    from ifnas_jax.data.source import open_dataset

    asked = _asked(arguments)
    config = space_config(asked, data_dir=arguments.data_dir)
    dataset = open_dataset(config.dataset)
    asked["contents"] = config.dataset.contents = dataset.contents
    space = config_lib.space(config)
    found = list(tabular.networks(space, config_lib.macro(config), STAGE))
    if arguments.pilot:
        places = np.unique(np.linspace(0, len(found) - 1, _CHUNK).round().astype(int))
        found = [found[place] for place in places]
    chunks = [found[n : n + _CHUNK] for n in range(0, len(found), _CHUNK)]
    mine = part_of(chunks, arguments.part)
    seeds = list(range(arguments.seeds))
    if arguments.out:  # Not refused after hours.
        storage.make_folder(os.path.dirname(storage.absolute(arguments.out)))
    told = []
    for number, chunk in enumerate(mine, start=1):
        told.append(_train(config, dataset, chunk, seeds, arguments.workdir))
        print(f"tabular: chunk {number} of {len(mine)}", flush=True)
    if len(told) < len(chunks):
        return
    top1 = np.concatenate([own["top1"] for own in told])
    print(describe(top1[:, :, -1]))
    if arguments.out:
        facts = asked | _facts(arguments, told)
        tabular.save(arguments.out, facts, found, top1, seeds, TEST_EPOCHS)


def _train(
    config, dataset, chunk: Sequence[tuple[int, Architecture]], seeds, workdir: str
):
    """Accuracies of a chunk, [networks, seeds, epochs]; trained if none are kept."""
    keys = [key for key, _ in chunk]
    # What is kept is of this config, these networks and these seeds.
    fields = config_lib.flat(config)
    del fields["dataset.data_dir"]  # each machine has its own
    whole = json.dumps([fields, keys, seeds, TEST_EPOCHS], sort_keys=True)
    digest = zlib.crc32(whole.encode())
    path = os.path.join(workdir, f"{keys[0]}-{keys[-1]}-{digest:08x}.json")
    if storage.exists(path):
        return files.read_json(path, {"top1": list, "keys": list})
    from ifnas_jax import train_networks

    storage.make_folder(workdir)
    start = time.perf_counter()
    pairs = [(network, seed) for _, network in chunk for seed in seeds]
    rows = train_networks(
        [network for network, _ in pairs],
        dataset,
        config,
        seeds=[seed for _, seed in pairs],
        test_epochs=TEST_EPOCHS,
    )
    if any(len(own) != len(TEST_EPOCHS) for own in rows):
        raise InputError(f"a network of {keys} diverged; lower retrain.learning_rate.")
    top1 = [[row["top1"] for row in own] for own in rows]
    shape = len(chunk), len(seeds), len(TEST_EPOCHS)
    told = {
        "keys": keys,
        "top1": np.reshape(top1, shape).tolist(),
        "seconds": round(time.perf_counter() - start, 1),
    }
    files.write_json(path, told)
    return told


def describe(top1: np.ndarray) -> str:
    """How far networks and seeds are apart; `top1` is [networks, seeds].

    What a seed does to all networks alike is no noise: none is ahead by it.
    """
    means, (networks, seeds) = top1.mean(axis=1), top1.shape
    rest = top1 - top1.mean(axis=0) - means[:, None] + top1.mean()
    noise = (rest**2).sum() / ((networks - 1) * (seeds - 1))
    # What seeds leave in a mean is no difference of networks.
    own = max(0.0, means.var(ddof=1) - noise / seeds) ** 0.5
    return (
        f"{networks} networks: mean {means.mean():.4f}, from {means.min():.4f} to "
        f"{means.max():.4f}; standard deviation of networks {own:.4f}, of seeds "
        f"{noise**0.5:.4f}"
    )


def _asked(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the table is of."""
    return {
        "stage": STAGE,
        "nodes": arguments.nodes,
        "num_precursors": arguments.num_precursors,
        "operators": list(OPERATORS),
        "dataset": arguments.dataset,
        "recipe": RECIPE if arguments.dataset == "mnist5k" else COLOUR,
    }


def _facts(arguments: argparse.Namespace, told) -> dict[str, Any]:
    """How it was made."""
    from ifnas_jax.runtime import distributed

    return {
        "command": f"python -m benchmarks.tabular --num-precursors="
        f"{arguments.num_precursors} --nodes={arguments.nodes} "
        f"--seeds={arguments.seeds} --dataset={arguments.dataset}",
        "seconds": sum(own["seconds"] for own in told),
        "versions": result.versions(),
        "devices": distributed.describe_devices(),
    }


if __name__ == "__main__":
    sys.exit(command.run("tabular", main))
