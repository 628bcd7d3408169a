"""Skipping by loops or node by node, and what a program made for survivors gains.

    python -m benchmarks.skipping --json=FILE [--quick]

Compares, for each case of `benchmarks.search_step` (the whole network, a group, the
chain, and what random pruning leaves), three programs of one step: `loops` over the
active pairs and `nodes`, one operator for all inputs of a node (`search.skipping`),
compiled once each; and `survivors`, a network of that case's pairs alone, written out
as for retraining, without gates: the best that compiling again could come to.
`pays_after` is how many steps it takes to win back the seconds of compiling that.
Times are medians of repeats that alternate. Run it with nothing beside it.
"""

import argparse
import dataclasses
import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from benchmarks.search_step import SMALL, cases, make_search
from ifnas_jax import files, training
from ifnas_jax.architecture import cost, from_kept
from ifnas_jax.architecture import masks as mask_lib
from ifnas_jax.nn.nodes import SKIPPING
from ifnas_jax.retraining import step as retrain_step
from ifnas_jax.runtime import distributed
from ifnas_jax.runtime.host_memory import keep_freed_memory
from ifnas_jax.searching import step as search_step

# L and nodes.
QUICK, ALL = [(4, SMALL)], [(4, SMALL), (8, SMALL)]
WAYS = (*SKIPPING, "survivors")
REPEATS = 5

# A compiled step, its seconds of compiling, and its arguments ahead of the batch.
Program = tuple[Callable, float, tuple]


def measure(num_precursors: int, nodes: tuple[int, ...]) -> list[dict[str, Any]]:
    """One row a case."""
    search = make_search(num_precursors, nodes)
    macro, batch_size = search.net.macro, search.config.search.batch_size
    size = macro.image_size
    images = np.random.default_rng(0).random((batch_size, size, size, 1), np.float32)
    labels = np.arange(batch_size, dtype=np.int32)
    batch = distributed.shard({"image": images, "label": labels})
    batch, masks = training.place(batch, split=True), cases(search)
    loop = search.method.masks(search.net.space.full(), 0)
    state, mu = search_step.initial_state(search), np.ones(2, np.float32)

    def searching(add) -> tuple[Callable, float]:
        net = dataclasses.replace(search.net, add=add)
        step = search_step.make_step(search._replace(net=net))
        return training.compile_step(step, (state, loop, mu, batch), donate=False)

    programs = {way: searching(add) for way, add in SKIPPING.items()}
    rows = []
    for name, case in masks.items():
        stacked = mask_lib.stack([case] * len(loop[0].active))
        arguments = training.place((state, stacked, mu))
        kept = tuple(stage.active for stage in case)
        own = {way: (*program, arguments) for way, program in programs.items()}
        own["survivors"] = survivors(search, kept, batch)
        row = {
            "case": name,
            "num_precursors": num_precursors,
            "nodes": nodes,
            "active_madds": cost.network_cost(search.net.space, macro, kept).madds,
            **timed(own, batch),
            "device": distributed.describe_devices(),
        }
        gain = row["loops_step_ms"] - row["survivors_step_ms"]
        seconds = row["survivors_compile_s"]
        row["pays_after"] = round(1e3 * seconds / gain) if gain > 0 else None
        print(describe(row), flush=True)
        rows.append(row)
    return rows


def survivors(search, kept: mask_lib.Kept, batch) -> Program:
    """The step of a network of these pairs alone, at the width of the search."""
    architecture = from_kept(search.net.space, kept, search.net.macro)
    config = search.config.copy_and_resolve_references()
    config.retrain.auxiliary_weight = 0.0
    network = retrain_step.make_network(config, architecture)
    optimizer = retrain_step.make_optimizer(config, 1000)
    init = retrain_step.make_init(config, network, optimizer)
    # Any values will do, and drawing them would have to be compiled.
    state = jax.tree.map(lambda x: np.full(x.shape, 0.1, x.dtype), jax.eval_shape(init))
    step = retrain_step.make_step(config, network, optimizer)
    program = training.compile_step(step, (state, batch), donate=False)
    return *program, training.place((state,))


def timed(programs: dict[str, Program], batch) -> dict[str, float]:
    """Compile seconds, milliseconds a step and temporary megabytes of each."""
    times: dict[str, list[float]] = {way: [] for way in programs}
    for repeat, way in itertools.product(range(REPEATS + 1), programs):
        step, _, arguments = programs[way]
        start = time.perf_counter()
        jax.block_until_ready(step(*arguments, batch))
        if repeat:  # The first is for warming up.
            times[way].append(time.perf_counter() - start)
    row = {}
    for way, (step, seconds, _) in programs.items():
        temporaries = step.memory_analysis().temp_size_in_bytes
        row[f"{way}_compile_s"] = round(seconds, 1)
        row[f"{way}_step_ms"] = round(1e3 * statistics.median(times[way]), 1)
        row[f"{way}_temp_mb"] = round(temporaries / 1e6, 1)
    return row


def describe(row: dict[str, Any]) -> str:
    """A row as a line."""
    ways = "  ".join(
        f"{way} {row[f'{way}_compile_s']:.0f} s, {row[f'{way}_step_ms']:.0f} ms, "
        f"{row[f'{way}_temp_mb']:.0f} MB"
        for way in WAYS
    )
    return (
        f"L = {row['num_precursors']}  N = {row['nodes']!s:12}  {row['case']:8}  {ways}"
        f"  pays after {row['pays_after'] or 'no'} steps"
    )


def main(argv=None) -> None:
    """Measures every network and prints a line for each case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", required=True, help="where to write the rows")
    parser.add_argument("--quick", action="store_true", help="L = 4 only")
    arguments = parser.parse_args(argv)
    keep_freed_memory()
    rows = []
    for setting in QUICK if arguments.quick else ALL:
        rows += measure(*setting)
        files.write_json(arguments.json, rows)


if __name__ == "__main__":
    main()
