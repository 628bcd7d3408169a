"""What a step of many seeds costs, beside one of a single seed.

    python -m benchmarks.population_step --json=FILE [--seeds=8] [--skipping=nodes]

The whole super-network of L = 4, (6, 6, 6), C = 16, 28 pixels, batch 64, float32: the
step of one search, and that of K as lanes of one program, as `lanes = "together"` takes
it; and K networks with masks of their own, as `train_networks` trains them, where
lanes' masks differ. Times are medians, one case after the other.
"""

import argparse
import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Iterator

import jax
import numpy as np

from benchmarks.search_step import SMALL, make_search, pruned
from ifnas_jax import files, training
from ifnas_jax.architecture import masks as mask_lib
from ifnas_jax.nn.nodes import SKIPPING
from ifnas_jax.runtime import distributed
from ifnas_jax.searching.step import initial_state, make_step

REPEATS, WARM = 7, 2
BATCH = 64


def steps(seeds: int, skipping: str) -> Iterator[tuple[str, Callable, float]]:
    """For each case what takes a step, and the seconds of compiling it."""
    search = make_search(4, SMALL, 16, BATCH)
    search.config.search.skipping = skipping
    add = SKIPPING[training.skipping_of(search.config)]
    search = search._replace(net=dataclasses.replace(search.net, add=add))
    space, size = search.net.space, search.net.macro.image_size
    images = np.random.default_rng(0).random((BATCH, size, size, 1), np.float32)
    batch = {"image": images, "label": np.arange(BATCH, dtype=np.int32)}
    length = len(search.method.masks(space.full(), 0)[0].active)
    mu = np.ones(2, np.float32)
    state, step = initial_state(search), make_step(search)

    def masks(share: float):
        kept = space.full() if share == 1 else pruned(space, share)
        return mask_lib.stack([mask_lib.whole(kept, True)] * length)

    split = training.place(distributed.shard(batch), split=True)
    arguments = *training.place((state, masks(1), mu)), split
    compiled, seconds = training.compile_step(step, arguments, donate=False)
    yield "one", functools.partial(compiled, *arguments), seconds

    mesh = training.lanes_mesh(seeds)
    live, whole = np.ones(seeds, bool), training.stack([masks(1)] * seeds)
    states, mus, own = (training.stack([x] * seeds) for x in (state, mu, batch))
    compiled, seconds = training.compile_lanes(
        step, (live, states, whole, mus, own), mesh
    )
    live, states, mus = training.place_lanes((live, states, mus), mesh)
    own = training.place_lanes(own, mesh, split=True)
    held = [states]  # Donated with each step.

    def lanes(masks):
        held[0], metrics = compiled(live, held[0], masks, mus, own)
        return metrics

    apart = training.stack([masks(share) for share in np.linspace(1, 0.25, seeds)])
    for name, case in ("", whole), (", pruned apart", apart):
        placed = training.place_lanes(case, mesh)
        yield f"{seeds} seeds{name}", functools.partial(lanes, placed), seconds


def main(argv=None) -> None:
    """Measures, and prints a line for each case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", required=True, help="where to write the rows")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument(
        "--skipping", choices=("auto", "loops", "nodes"), default="auto"
    )
    arguments = parser.parse_args(argv)
    rows: list[dict] = []
    for name, once, seconds in steps(arguments.seeds, arguments.skipping):
        times = []
        for repeat in range(REPEATS + WARM):
            start = time.perf_counter()
            jax.block_until_ready(once())
            if repeat >= WARM:
                times.append(time.perf_counter() - start)
        median = 1e3 * statistics.median(times)
        ratio = median / rows[0]["step_ms"] if rows else 1.0
        rows.append(
            {
                "case": name,
                "step_ms": round(median, 2),
                "times_one": round(ratio, 2),
                "compile_s": round(seconds, 1),
                "skipping": arguments.skipping,
                "device": distributed.describe_devices(),
            }
        )
        files.write_json(arguments.json, rows)
        print(
            f"{name:24} {median:8.1f} ms  {ratio:5.2f} times one  "
            f"compiled in {seconds:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
