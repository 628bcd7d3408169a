"""What a step of many seeds costs, beside one of a single seed.

    python -m benchmarks.population_step --json=FILE [--seeds=8] [--skipping=nodes]

The whole super-network of L = 4, (6, 6, 6), C = 16, 28 pixels, batch 64, float32: the
step of one search, and that of K as lanes of one program, as `lanes = "together"` takes
it; and K networks with masks of their own, as `train_networks` trains them, where
lanes' masks differ. Times are medians of repeats that alternate.
"""

import argparse
import dataclasses
import itertools
import statistics
import time

import jax
import numpy as np

from benchmarks.search_step import SMALL, make_search, pruned
from ifnas_jax import files, training
from ifnas_jax.architecture import masks as mask_lib
from ifnas_jax.nn.nodes import SKIPPING
from ifnas_jax.runtime import distributed
from ifnas_jax.search.step import initial_state, make_step

REPEATS, WARM = 7, 2
BATCH = 64


def programs(seeds: int, skipping: str) -> dict:
    """For each case a function that takes a step, and its seconds of compiling."""
    search = make_search(4, SMALL, 16, BATCH)
    search.config.search.skipping = skipping
    add = SKIPPING[training.skipping_of(search.config)]
    search = search._replace(net=dataclasses.replace(search.net, add=add))
    size = search.net.macro.image_size
    images = np.random.default_rng(0).random((BATCH, size, size, 1), np.float32)
    batch = {"image": images, "label": np.arange(BATCH, dtype=np.int32)}
    loop = search.method.masks(search.net.space.full(), 0)
    length, mu = len(loop[0].active), np.ones(2, np.float32)
    whole = mask_lib.stack([mask_lib.whole(search.net.space.full(), True)] * length)
    state, step = initial_state(search), make_step(search)

    def alone():
        split = training.place(distributed.shard(batch), split=True)
        arguments = state, *training.place((whole, mu)), split
        compiled, seconds = training.compile_step(step, arguments, donate=False)
        return lambda: compiled(*arguments), seconds

    def lanes(masks):
        mesh = training.lanes_mesh(seeds)
        live = np.ones(seeds, bool)
        stacked = [live, *(training.stack([x] * seeds) for x in (state, mu, batch))]
        stacked.insert(2, training.stack(masks))
        compiled, seconds = training.compile_lanes(step, tuple(stacked), mesh)
        live, _, masks, mus, own = stacked
        placed = training.place_lanes((live, masks, mus), mesh)
        held = [training.place_lanes(stacked[1], mesh)]
        split = training.place_lanes(own, mesh, split=True)

        def once():
            held[0], metrics = compiled(placed[0], held[0], *placed[1:], split)
            return metrics

        return once, seconds

    shares = np.linspace(1.0, 0.25, seeds)
    differing = [
        mask_lib.stack([mask_lib.whole(pruned(search.net.space, share), True)] * length)
        for share in shares
    ]
    return {
        "one": alone(),
        f"{seeds} seeds": lanes([whole] * seeds),
        f"{seeds} seeds, pruned apart": lanes(differing),
    }


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
    made = programs(arguments.seeds, arguments.skipping)
    times = {name: [] for name in made}
    for repeat, name in itertools.product(range(REPEATS + WARM), made):
        start = time.perf_counter()
        jax.block_until_ready(made[name][0]())
        if repeat >= WARM:
            times[name].append(time.perf_counter() - start)
    one, rows = statistics.median(times["one"]), []
    for name, (_, seconds) in made.items():
        median = statistics.median(times[name])
        rows.append(
            {
                "case": name,
                "step_ms": round(1e3 * median, 1),
                "times_one": round(median / one, 2),
                "compile_s": round(seconds, 1),
                "skipping": arguments.skipping,
                "device": distributed.describe_devices(),
            }
        )
        print(
            f"{name:24} {1e3 * median:8.1f} ms  {median / one:5.2f} times one  "
            f"compiled in {seconds:.1f} s",
            flush=True,
        )
    files.write_json(arguments.json, rows)


if __name__ == "__main__":
    main()
