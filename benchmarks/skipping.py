"""Skipping by loops or by branches, and what a program made for the survivors gains.

    python -m benchmarks.skipping --json=FILE [--quick]

Compares, for each case of `benchmarks.search_step` (the whole network, a group, the
chain, and what random pruning leaves), three programs of one search step:
`loops`, the default, compiled once; `branches` (`search.skipping`), one program with a
branch for each group; and `survivors`, compiled for the pairs of that case alone, which
is what compiling again after pruning would run. `pays_after` is how many steps the
seconds of compiling `survivors` are worth. Times are medians of repeats that alternate.
Run it with nothing beside it.
"""

import argparse
import dataclasses
import itertools
import statistics
import time
from typing import Any

import jax
import numpy as np

from benchmarks.search_step import PAPER, SMALL, cases, make_search
from ifnas_jax import cost, distributed, files, training
from ifnas_jax import masks as mask_lib
from ifnas_jax.host_memory import keep_freed_memory
from ifnas_jax.nn.branches import distinct_branches
from ifnas_jax.search_step import initial_state, make_step

# L and nodes.
QUICK, ALL = [(4, SMALL)], [(4, SMALL), (8, SMALL), (4, PAPER)]
REPEATS = 5


def measure(num_precursors: int, nodes: tuple[int, ...]) -> list[dict[str, Any]]:
    """One row a case."""
    search = make_search(num_precursors, nodes)
    macro, batch_size = search.net.macro, search.config.search.batch_size
    size = macro.image_size
    images = np.random.default_rng(0).random((batch_size, size, size, 1), np.float32)
    labels = np.arange(batch_size, dtype=np.int32)
    batch = distributed.shard({"image": images, "label": labels})
    batch, mu = training.place(batch, split=True), training.place(np.ones(2, "f4"))
    state, masks = initial_state(search), cases(search)
    loop = search.method.masks(search.net.space.full(), 0)
    count = len(loop[0].active)
    stacked = {name: mask_lib.stack([case] * count) for name, case in masks.items()}
    stacked = {name: training.place(case) for name, case in stacked.items()}

    def compiled(branches):
        net = dataclasses.replace(search.net, branches=branches)
        step = make_step(search._replace(net=net))
        arguments = state, stacked["whole"], mu, batch
        program, seconds = training.compile_step(step, arguments, donate=False)
        return program, round(seconds, 1)

    programs = {"loops": compiled(()), "branches": compiled(distinct_branches(loop))}
    rows = []
    for name, case in masks.items():
        survivors = tuple(stage.active for stage in case)
        own = programs | {"survivors": compiled((survivors,))}
        times: dict[str, list[float]] = {way: [] for way in own}
        for repeat, way in itertools.product(range(REPEATS + 1), own):
            start = time.perf_counter()
            jax.block_until_ready(own[way][0](state, stacked[name], mu, batch))
            if repeat:  # The first is for warming up.
                times[way].append(time.perf_counter() - start)
        row = {
            "case": name,
            "num_precursors": num_precursors,
            "nodes": nodes,
            "active_madds": cost.network_cost(search.net.space, macro, survivors).madds,
        }
        for way, (program, seconds) in own.items():
            temporaries = program.memory_analysis().temp_size_in_bytes
            row[f"{way}_compile_s"] = seconds
            row[f"{way}_step_ms"] = round(1e3 * statistics.median(times[way]), 1)
            row[f"{way}_temp_mb"] = round(temporaries / 1e6, 1)
        gain = row["loops_step_ms"] - row["survivors_step_ms"]
        row["pays_after"] = (
            round(1e3 * row["survivors_compile_s"] / gain) if gain > 0 else None
        )
        row["device"] = distributed.describe_devices()
        print(describe(row), flush=True)
        rows.append(row)
    return rows


def describe(row: dict[str, Any]) -> str:
    """A row as a line."""
    ways = "  ".join(
        f"{way} {row[f'{way}_compile_s']:.0f} s, {row[f'{way}_step_ms']:.0f} ms, "
        f"{row[f'{way}_temp_mb']:.0f} MB"
        for way in ("loops", "branches", "survivors")
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
    parser.add_argument("--quick", action="store_true", help="the smallest network")
    arguments = parser.parse_args(argv)
    keep_freed_memory()
    rows = []
    for setting in QUICK if arguments.quick else ALL:
        rows += measure(*setting)
        files.write_json(arguments.json, rows)


if __name__ == "__main__":
    main()
