"""What a search step costs: compiling, time, memory, for what is active.

    python -m benchmarks.search_step --json=FILE [--quick]

The step is the search's own, optimisers included, on random images. Cases: the whole
super-network, one group's sub-super-network, the chain alone. Times are medians of
repeats that alternate between the cases; run it with nothing beside it.
"""

import argparse
import statistics
import time

import jax
import numpy as np

from ifnas_jax import config as config_lib
from ifnas_jax import cost, distributed, files, training
from ifnas_jax import masks as mask_lib
from ifnas_jax.host_memory import keep_freed_memory
from ifnas_jax.methods import make_method
from ifnas_jax.nn.supernet import Supernet
from ifnas_jax.schedule import search_schedule
from ifnas_jax.search_step import Search, initial_state, make_step

SMALL, PAPER = (6, 6, 6), (18, 20, 18)
SETTINGS = [(4, SMALL), (4, PAPER), (8, SMALL), (8, PAPER)]
WIDTH, BATCH, REPEATS = 16, 32, 7


def make_search(num_precursors: int, nodes: tuple[int, ...]) -> Search:
    """The search of a config at 28 pixels, with 100 classes."""
    config = config_lib.default("mnist5k")
    with config.unlocked():
        config.space.update(num_precursors=num_precursors, nodes=nodes)
        config.macro.search_width = WIDTH
        config.search.batch_size = BATCH
        config.dataset.num_classes = 100
    config_lib.resolve(config, None)
    space, macro = config_lib.space(config), config_lib.macro(config)
    method = make_method(config, space)
    schedule = search_schedule(config, 100_000, config.sampling.modulus + 1)
    net = Supernet(space, config_lib.search_macro(config))
    return Search(config, method, net, macro, schedule)


def cases(search: Search) -> dict[str, mask_lib.Masks]:
    """For each case, masks that are the same in every step of a loop."""
    space = search.net.space
    kept = space.full()
    loop = search.method.masks(kept, 0)
    group = jax.tree.map(lambda mask: mask[1], loop)
    nobody = mask_lib.group(space, kept, [()] * len(kept))
    steps = {"whole": mask_lib.whole(kept, learned=True), "group": group}
    steps["chain"] = nobody
    return {
        name: mask_lib.stack([masks] * len(loop[0].active))
        for name, masks in steps.items()
    }


def measure(num_precursors: int, nodes: tuple[int, ...]) -> list[dict]:
    """One row a case."""
    search = make_search(num_precursors, nodes)
    size = search.net.macro.image_size
    batch = {
        "image": np.random.default_rng(0).random((BATCH, size, size, 1), np.float32),
        "label": np.arange(BATCH, dtype=np.int32),
    }
    batch, mu = distributed.shard(batch), np.ones(2, np.float32)
    masks = cases(search)
    # Learning rates of 0 would do, but the state is donated: it is carried along.
    state = initial_state(search)
    step, seconds = training.compile_step(
        make_step(search), (state, masks["whole"], mu, batch)
    )
    times = {name: [] for name in masks}
    for repeat in range(REPEATS + 1):
        for name, case in masks.items():
            start = time.perf_counter()
            state, metrics = step(state, case, mu, batch)
            jax.block_until_ready((state, metrics))
            if repeat:  # The first is for warming up.
                times[name].append(time.perf_counter() - start)
    memory = step.memory_analysis()
    return [
        {
            "case": name,
            "num_precursors": num_precursors,
            "nodes": list(nodes),
            "width": WIDTH,
            "batch": BATCH,
            "compile_s": round(seconds, 2),
            "step_ms": round(1e3 * statistics.median(times[name]), 1),
            "temp_mb": round(memory.temp_size_in_bytes / 1e6, 1),
            "active_madds": cost.network_cost(
                search.net.space,
                search.net.macro,
                [stage.active[0] for stage in case],
            ).madds,
            "share_of_whole": round(
                statistics.median(times[name]) / statistics.median(times["whole"]), 3
            ),
        }
        for name, case in masks.items()
    ]


def main(argv=None) -> None:
    """Measures every setting and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", required=True, help="where to write the rows")
    parser.add_argument("--quick", action="store_true", help="only the L = 4 settings")
    arguments = parser.parse_args(argv)
    keep_freed_memory()
    rows = []
    for setting in SETTINGS[:2] if arguments.quick else SETTINGS:
        for row in measure(*setting):
            rows.append({**row, "device": distributed.describe_devices()})
            print(
                f"L = {row['num_precursors']}  N = {tuple(row['nodes'])!s:12}  "
                f"{row['case']:5}  compile {row['compile_s']:5.1f} s  "
                f"step {row['step_ms']:7.1f} ms ({row['share_of_whole']:4.0%})  "
                f"{row['active_madds'] / 1e6:6.1f}M MAdds active  "
                f"temporaries {row['temp_mb']:5.0f} MB",
                flush=True,
            )
        files.write_json(arguments.json, rows)


if __name__ == "__main__":
    main()
