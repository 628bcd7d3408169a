"""What a step of retraining costs on ImageNet's sizes, beside PyTorch on one machine.

    python -m benchmarks.retrain_step --json=FILE [--quick] [--torch=eager|...|none]

Two networks of `configs/lchain4.py`: one of about 600M MAdds, drawn at random as random
search does, and the plain chain. Random images of 224 pixels; the auxiliary head and
the optimiser are included. PyTorch runs the same network with the same weights, in both
memory layouts; the faster is what counts. That the outputs agree is checked first, on
the first nodes of each stage: fresh batch norm makes the whole so deep a network that
rounding alone moves its outputs by a third. Times are medians of repeats that
alternate. Run it with nothing beside it.
"""

import argparse
import functools
import itertools
import os
import statistics
import time
from contextlib import closing
from typing import Any

import jax
import numpy as np

from benchmarks.search_step import compare, device_of_torch, modes_of
from benchmarks.torch_worker import Task, Worker
from ifnas_jax import config as config_lib
from ifnas_jax import files, training
from ifnas_jax.architecture import Architecture, from_kept
from ifnas_jax.architecture.masks import Kept, backbone
from ifnas_jax.config.command_line import load_config
from ifnas_jax.methods import make_method
from ifnas_jax.retraining.step import (
    initial_state,
    make_init,
    make_network,
    make_optimizer,
    make_step,
)
from ifnas_jax.runtime import distributed
from ifnas_jax.runtime.host_memory import keep_freed_memory
from ifnas_jax.spaces import lchain

COUNTERPART = "benchmarks.torch_network:DerivedCounterpart"
REPEATS = 5
FIRST = 4  # nodes of each stage
FIELDS = (
    "learning_rate",
    "momentum",
    "weight_decay",
    "clip",
    "label_smoothing",
    "auxiliary_weight",
)


def networks(config) -> dict[str, Kept]:
    """What the networks keep, by case."""
    space = config_lib.space(config)
    chain = tuple(backbone(stage) for stage in space.full())
    for stage in chain:
        stage[:, :, 1:] = False  # Of each edge the convolution.
    return {
        "derived600M": make_method(config, space, config_lib.macro(config)).draw(0),
        "chain": chain,
    }


def beginning(config, kept: Kept) -> Architecture:
    """The first nodes of each stage: a network to compare outputs on."""
    space = config_lib.space(config)
    space = lchain(space.stages[0].num_precursors, (FIRST,) * len(kept))
    kept = [stage[:FIRST] for stage in kept]
    return from_kept(space, kept, config_lib.macro(config))


def measure(config, name: str, kept: Kept, batch_size: int, torch: str):
    """A row."""
    architecture = from_kept(config_lib.space(config), kept, config_lib.macro(config))
    network, size = make_network(config, architecture), config.dataset.image_size
    optimizer = make_optimizer(config, 1000)
    images = np.random.default_rng(0).random((batch_size, size, size, 3), np.float32)
    labels = np.arange(batch_size, dtype=np.int32) % 1000
    batch = distributed.shard({"image": images, "label": labels})
    batch = training.place(batch, split=True)
    state = initial_state(config, network, optimizer)
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    step, compile_seconds = training.compile_step(
        make_step(config, network, optimizer), (state, batch)
    )
    fields = {key: config.retrain[key] for key in FIELDS}
    threads, where = len(os.sched_getaffinity(0)), device_of_torch()
    modes, dtype = modes_of(torch, where), training.compute_dtype(config).name
    given = architecture, variables, fields
    if modes:
        first = beginning(config, kept)
        own = variables_of(config, first, variables)
        task = Task(
            *(COUNTERPART, (first, own, fields), images, labels, {"": ()}, threads),
            *(where, dtype),
        )
        check_equal(config, task, modes, first, own)
    task = Task(
        *(COUNTERPART, given, images, labels, {name: ()}, threads), *(where, dtype)
    )
    times: dict[str, list[float]] = {mode: [] for mode in ("jax", *modes)}
    with closing(Worker(task)) as worker:
        for repeat, mode in itertools.product(range(REPEATS + 1), times):
            if mode == "jax":
                start = time.perf_counter()
                state, metrics = step(state, batch)
                jax.block_until_ready((state, metrics))
                seconds = time.perf_counter() - start
            else:
                seconds = worker.seconds(mode, name)
            if repeat:  # The first is for warming up.
                times[mode].append(seconds)
    medians = {mode: 1e3 * statistics.median(values) for mode, values in times.items()}
    best = min(modes, key=medians.get, default=None)
    return {
        "case": name,
        "batch": batch_size,
        "madds": architecture.cost().madds,
        "compile_s": round(compile_seconds, 2),
        "step_ms": round(medians["jax"], 1),
        "temp_mb": round(step.memory_analysis().temp_size_in_bytes / 1e6, 1),
        "torch_ms": round(medians[best], 1) if best else None,
        "torch_mode": best,
        "torch_modes": {mode: round(medians[mode], 1) for mode in modes},
        "dtype": dtype,
        "ratio": round(medians[best] / medians["jax"], 3) if best else None,
        "device": distributed.describe_devices(),
    }


def variables_of(config, first: Architecture, variables) -> dict[str, Any]:
    """Those of the whole network that its beginning has."""
    init = make_init(config, make_network(config, first), make_optimizer(config, 1000))
    shapes = jax.eval_shape(init)
    names = {"params": shapes.params, "batch_stats": shapes.batch_stats}
    return {
        kind: {name: variables[kind][name] for name in own}
        for kind, own in names.items()
    }


def check_equal(config, task: Task, modes: list[str], first, variables) -> None:
    """Fails if outputs or losses differ: then times could not be compared."""
    apply = functools.partial(
        make_network(config, first).apply, train=True, mutable="batch_stats"
    )
    ours, auxiliary = jax.jit(apply)(variables, task.images)[0]
    fields = config.retrain
    loss, more = (
        training.cross_entropy(logits, task.labels, fields.label_smoothing)
        for logits in (ours, auxiliary)
    )
    loss += fields.auxiliary_weight * more
    with closing(Worker(task)) as worker:
        for mode in modes:
            theirs = worker.logits(mode, "")
            dtype = np.dtype(np.float32 if task.dtype == "float32" else np.float16)
            compare(theirs, ours, dtype, mode, 1e-3)
            if not mode.startswith("graph"):  # It has taken steps when it is captured.
                # With the auxiliary head's, and as it is timed.
                compare(worker.loss(mode, ""), loss, dtype, f"{mode}, loss", 1e-3)


def main(argv=None) -> None:
    """Measures both networks and prints a line for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", required=True, help="where to write the rows")
    parser.add_argument("--quick", action="store_true", help="batches of 4 images")
    parser.add_argument("--batch", type=int, help="images a step, 16 by default")
    parser.add_argument("--cases", default="", help="only these, such as derived600M")
    parser.add_argument(
        "--torch",
        choices=("eager", "compiled", "none"),
        default="eager",
        help="how PyTorch is run beside it; none: where it is not installed",
    )
    arguments = parser.parse_args(argv)
    keep_freed_memory()
    config = load_config("configs/lchain4.py", ["--config.method=random"])
    config_lib.resolve(config, None)
    rows: list[dict[str, Any]] = []
    only = [name for name in arguments.cases.split(",") if name]
    for name, kept in networks(config).items():
        if only and name not in only:
            continue
        batch = arguments.batch or (4 if arguments.quick else 16)
        rows.append(measure(config, name, kept, batch, arguments.torch))
        print(describe(rows[-1]), flush=True)
        files.write_json(arguments.json, rows)


def describe(row: dict[str, Any]) -> str:
    """A row as a line."""
    theirs = ""
    if row["torch_ms"]:
        theirs = f"  PyTorch {row['torch_ms']:7.1f} ms ({row['torch_mode']}), "
        theirs += f"ratio {row['ratio']:.2f}"
    return (
        f"{row['case']:12}  batch {row['batch']}  {row['madds'] / 1e6:.0f}M MAdds  "
        f"compile {row['compile_s']:5.1f} s  step {row['step_ms']:7.1f} ms  "
        f"temporaries {row['temp_mb']:5.0f} MB{theirs}"
    )


if __name__ == "__main__":
    main()
