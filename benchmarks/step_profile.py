"""Where the time of a step goes, by kind of instruction.

    python -m benchmarks.step_profile --json=FILE [--retrain]

One search step of the whole network of L = 4, (18, 20, 18), or one step of retraining
the plain chain at 224 pixels with batches of 16, profiled by JAX a few times. Of each
kind of XLA's instructions: milliseconds from their starts to their ends, how many were
run, and their mean; profiling itself takes some of it. How many cores are busy is the
process' own time over the clock's, without the profiler. Run it with nothing beside it.
"""

import argparse
import collections
import glob
import os
import re
import tempfile
import time

import jax
import numpy as np

from benchmarks.retrain_step import networks
from benchmarks.search_step import PAPER, cases, make_search
from ifnas_jax import config as config_lib
from ifnas_jax import files, training
from ifnas_jax.architecture import from_kept
from ifnas_jax.architecture import masks as mask_lib
from ifnas_jax.config.command_line import load_config
from ifnas_jax.retraining import step as retrain_step
from ifnas_jax.runtime import distributed
from ifnas_jax.runtime.host_memory import keep_freed_memory
from ifnas_jax.searching import step as search_step

STEPS = 3
# What only contains other instructions.
CONTAINERS = ("while", "call", "conditional")


def kind(name: str) -> str | None:
    """The kind of an instruction by its name, such as "dot" of "dot.12"; None: none."""
    base = re.sub(r"(\.\d+|\.clone|_\d+)*$", "", name)
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", base) or base in CONTAINERS:
        return None
    return base


def times(folder: str) -> dict[str, list[float]]:
    """For each kind the milliseconds of every instruction in a trace."""
    (path,) = glob.glob(os.path.join(folder, "**", "*.xplane.pb"), recursive=True)
    found = collections.defaultdict(list)
    for plane in jax.profiler.ProfileData.from_file(path).planes:
        for line in plane.lines:
            for event in line.events:
                stats = dict(event.stats)
                if "hlo_op" in stats and (own := kind(event.name)):
                    found[own].append(event.duration_ns / 1e6)
    return found


def searching() -> tuple:
    """A compiled step of the search, and its arguments."""
    search = make_search(4, PAPER)
    batch = place_batch(32, 28, 1)
    loop = search.method.masks(search.net.space.full(), 0)
    masks = mask_lib.stack([cases(search)["whole"]] * len(loop[0].active))
    state, mu = search_step.initial_state(search), np.ones(2, np.float32)
    arguments = *training.place((state, masks, mu)), batch
    step = search_step.make_step(search)
    return training.compile_step(step, arguments, donate=False)[0], arguments


def retraining() -> tuple:
    """A compiled step of retraining the chain, and its arguments."""
    config = load_config("configs/lchain4.py", ["--config.method=random"])
    config_lib.resolve(config, None)
    kept, space = networks(config)["chain"], config_lib.space(config)
    architecture = from_kept(space, kept, config_lib.macro(config))
    network = retrain_step.make_network(config, architecture)
    optimizer = retrain_step.make_optimizer(config, 1000)
    batch = place_batch(16, config.dataset.image_size, 3)
    state = retrain_step.initial_state(config, network, optimizer)
    arguments = training.place(state), batch
    step = retrain_step.make_step(config, network, optimizer)
    return training.compile_step(step, arguments, donate=False)[0], arguments


def place_batch(count: int, size: int, channels: int):
    """Random images on the devices."""
    shape = count, size, size, channels
    batch = {
        "image": np.random.default_rng(0).random(shape, np.float32),
        "label": np.arange(count, dtype=np.int32),
    }
    return training.place(distributed.shard(batch), split=True)


def profile(step, arguments) -> dict:
    """Profiles a compiled step."""

    def run() -> float:
        start = time.perf_counter()
        jax.block_until_ready(step(*arguments))
        return 1e3 * (time.perf_counter() - start)

    run()
    used = time.process_time()
    plain = sum(run() for _ in range(STEPS)) / STEPS
    used = 1e3 * (time.process_time() - used) / STEPS
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            traced = sum(run() for _ in range(STEPS)) / STEPS
        found = times(folder)
    kinds = {
        name: {
            "ms": round(sum(own) / STEPS, 1),
            "count": round(len(own) / STEPS),
            "mean_us": round(1e3 * sum(own) / len(own)),
        }
        for name, own in sorted(found.items(), key=lambda item: -sum(item[1]))
    }
    return {
        "step_ms": round(plain, 1),
        "profiled_step_ms": round(traced, 1),
        "busy_cores": round(used / plain, 2),
        "kinds": kinds,
        "device": distributed.describe_devices(),
    }


def main(argv=None) -> None:
    """Profiles, and prints the dearest kinds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", required=True, help="where to write it")
    parser.add_argument("--retrain", action="store_true", help="a step of retraining")
    arguments = parser.parse_args(argv)
    keep_freed_memory()
    found = profile(*(retraining() if arguments.retrain else searching()))
    files.write_json(arguments.json, found)
    print(
        f"step {found['step_ms']} ms, profiled {found['profiled_step_ms']} ms, "
        f"{found['busy_cores']} cores busy"
    )
    for name, row in list(found["kinds"].items())[:25]:
        print(f"{row['ms']:8.1f} ms {row['count']:6} × {row['mean_us']:5} µs  {name}")


if __name__ == "__main__":
    main()
