"""What a search step costs: compiling, time, memory, beside PyTorch on one machine.

    python -m benchmarks.search_step --json=FILE [--quick] [--torch=eager|compiled|none]

The step is the search's own, optimisers included, on random images. Cases: the whole
super-network, one group's sub-super-network, the chain alone, and what random pruning
leaves: 75, 50 and 25 % of the edges. PyTorch runs the same network with the same
weights, in both memory layouts; that the outputs agree is checked first, and the faster
is what counts. Times are medians of repeats that alternate between all of these; run it
with nothing beside it.
"""

import argparse
import itertools
import os
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.torch_worker import Task, Worker
from ifnas_jax import config as config_lib
from ifnas_jax import files, training
from ifnas_jax.architecture import cost, delete_unread
from ifnas_jax.architecture import masks as mask_lib
from ifnas_jax.methods import make_method
from ifnas_jax.methods.schedule import search_schedule
from ifnas_jax.nn.nodes import SKIPPING
from ifnas_jax.nn.supernet import Supernet
from ifnas_jax.runtime import distributed
from ifnas_jax.runtime.host_memory import keep_freed_memory
from ifnas_jax.searching.step import Search, initial_state, make_step

SMALL, PAPER = (6, 6, 6), (18, 20, 18)
# L, nodes, width and batch.
QUICK = [(4, SMALL, 16, 32), (4, PAPER, 16, 32)]
ALL = [
    *(
        (L, nodes, 16, 32)
        for L, nodes in itertools.product((1, 4, 6, 8), (SMALL, PAPER))
    ),
    (4, PAPER, 32, 32),
    (4, PAPER, 16, 64),
]
SHARES = (75, 50, 25)
# Steps that are timed, and those before them.
REPEATS, WARM = 7, 1
LAYOUTS = ("contiguous", "channels_last")
COUNTERPART = "benchmarks.torch_counterpart:Counterpart"


class Setting(NamedTuple):
    """What is measured: L, nodes, C, images a step and their pixels, dtype."""

    num_precursors: int
    nodes: tuple[int, ...]
    width: int = 16
    batch: int = 32
    pixels: int = 28
    dtype: str = "float32"


def make_search(*setting):
    """The search of a `Setting`, of 100 classes; as on ImageNet from 64 pixels on."""
    num_precursors, nodes, width, batch, pixels, dtype = Setting(*setting)
    config = config_lib.default("mnist5k" if pixels < 64 else "imagenet2012")
    with config.unlocked():
        config.dataset.image_size, config.dtype = pixels, dtype
        config.sampling.modulus = 0
        config.relaxation.backbone = "constant"  # as the counterpart has it
        config.space.update(num_precursors=num_precursors, nodes=nodes)
        config.macro.search_width = width
        config.search.batch_size = batch
        config.dataset.num_classes = 100
    config_lib.resolve(config, None)
    space, macro = config_lib.space(config), config_lib.macro(config)
    method = make_method(config, space, config_lib.macro(config))
    schedule = search_schedule(config, 100_000, config.sampling.modulus + 1)
    add = SKIPPING[training.skipping_of(config)]
    sizes = config_lib.search_macro(config)
    net = Supernet(space, sizes, training.compute_dtype(config), add=add)
    return Search(config, method, net, macro, schedule)


def cases(search: Search) -> dict[str, mask_lib.Masks]:
    """For each case, masks of one step."""
    space = search.net.space
    kept = space.full()
    loop = search.method.masks(kept, 0)
    nobody = mask_lib.group(space, kept, [()] * len(kept))
    found = {
        "whole": mask_lib.whole(kept, learned=True),
        # The last group: with fewer nodes than L, the first ones have one candidate.
        "group": jax.tree.map(lambda mask: mask[-1], loop),
        "chain": nobody,
    }
    for share in SHARES:
        left = pruned(space, share / 100)
        found[f"pruned{share}"] = mask_lib.whole(left, learned=True)
    return found


def pruned(space, share: float) -> mask_lib.Kept:
    """A share of the edges, drawn at random; every node keeps one, as under pruning."""
    rng = np.random.default_rng(0)
    kept = space.full()
    for stage in kept:
        edges = stage.any(axis=2)
        drop = edges.sum() - round(share * edges.sum())
        for row, column in rng.permutation(np.argwhere(edges)):
            if drop > 0 and stage[row].any(axis=1).sum() > 1:
                stage[row, column] = False
                drop -= 1
    return delete_unread(space.stages, kept)


def measure(
    setting: Setting, torch: str, only: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """One row a case; all cases, or only some."""
    setting = Setting(*setting)
    search, batch_size = make_search(*setting), setting.batch
    size, channels = search.net.macro.image_size, search.net.macro.channels
    shape = batch_size, size, size, channels
    images = np.random.default_rng(0).random(shape, np.float32)
    labels = np.arange(batch_size, dtype=np.int32) % 100
    batch = distributed.shard({"image": images, "label": labels})
    batch = training.place(batch, split=True)
    masks, mu = cases(search), training.place(np.ones(2, np.float32))
    masks = {name: masks[name] for name in only or masks}
    length = len(search.method.masks(search.net.space.full(), 0)[0].active)
    stacked = {
        name: training.place(mask_lib.stack([case] * length))
        for name, case in masks.items()
    }
    state = initial_state(search)
    step, compile_seconds = training.compile_step(
        make_step(search), (state, next(iter(stacked.values())), mu, batch)
    )
    fields = {k: v for k, v in search.config.search.items() if isinstance(v, float)}
    own = {"params": state.params, "arch": state.arch}
    given = {name: (case,) for name, case in masks.items()}
    threads = len(os.sched_getaffinity(0))
    device = device_of_torch()
    task = Task(
        *(COUNTERPART, (own, fields), images, labels, given, threads),
        *(device, setting.dtype),
    )
    modes = modes_of(torch, device)
    times = {key: [] for key in itertools.product(masks, ("jax", *modes))}
    with closing(Worker(task)) as worker:
        check_equal(search, state, masks, images, modes, worker)
        for repeat, (name, mode) in itertools.product(range(REPEATS + WARM), times):
            if mode == "jax":
                start = time.perf_counter()
                state, metrics = step(state, stacked[name], mu, batch)
                jax.block_until_ready((state, metrics))
                seconds = time.perf_counter() - start
            else:
                seconds = worker.seconds(mode, name)
            if repeat >= WARM:
                times[name, mode].append(seconds)
    medians = {key: 1e3 * statistics.median(values) for key, values in times.items()}
    temp_mb = step.memory_analysis().temp_size_in_bytes / 1e6
    compiled = {
        "compile_s": round(compile_seconds, 2),
        "temp_mb": round(temp_mb, 1),
    }
    return rows_of(search, setting, masks, modes, medians, compiled)


def rows_of(search, setting, masks, modes, medians, compiled) -> list[dict[str, Any]]:
    """One row a case, of the medians in milliseconds by case and program."""
    rows, whole = [], medians.get(("whole", "jax"))
    for name, case in masks.items():
        best = min(modes, key=lambda mode: medians[name, mode], default=None)
        active = [stage.active for stage in case]
        madds = cost.network_cost(search.net.space, search.net.macro, active).madds
        ours, theirs = medians[name, "jax"], medians.get((name, best))
        rows.append(
            {
                "case": name,
                **setting._asdict(),
                "skipping": training.skipping_of(search.config),
                **compiled,
                "step_ms": round(ours, 1),
                "active_madds": madds,
                "torch_ms": round(theirs, 1) if best else None,
                "torch_mode": best,
                "torch_modes": {m: round(medians[name, m], 1) for m in modes},
                "ratio": round(theirs / ours, 3) if best else None,
                "share_of_whole": round(ours / whole, 3) if whole else None,
            }
        )
    return rows


def device_of_torch() -> str:
    """PyTorch's name for the device that JAX computes on."""
    return "cuda" if jax.default_backend() == "gpu" else "cpu"


def modes_of(torch: str, device: str) -> list[str]:
    """Ways of PyTorch that are tried; on a GPU a CUDA graph too: it saves launches."""
    ways = {"none": [], "eager": ["eager"], "compiled": ["eager", "compiled"]}[torch]
    if ways and device == "cuda":
        ways.append("graph")
    return [f"{way} {layout}" for way in ways for layout in LAYOUTS]


def check_equal(search, state, masks, images, modes: list[str], worker) -> None:
    """Fails if the networks differ: then their times could not be compared."""
    apply = jax.jit(search.net.apply)  # Compiled once, whatever the masks.
    for name, mode in itertools.product(masks, modes):
        weights = search.method.weights(state.arch, masks[name])
        active = [stage.active for stage in masks[name]]
        ours = apply(state.params, weights, active, images)
        theirs = worker.logits(mode, name)
        compare(theirs, ours, search.net.dtype, f"{name}, {mode}", 1e-4)


def compare(theirs, ours, dtype, what: str, least: float) -> None:
    """Fails if outputs differ, where nothing rounds coarsely; else says how far."""
    if dtype == np.float32 and jax.default_backend() == "cpu":
        np.testing.assert_allclose(theirs, ours, rtol=1e-3, atol=least)
        return
    ours = np.asarray(ours)
    gap = np.abs(theirs - ours).max() / np.abs(ours).max()
    print(f"outputs of {what} differ by {gap:.1%} of the largest", flush=True)


def peaks() -> dict[str, float]:
    """What the machine can do: billions of multiply-adds, and gigabytes, a second."""
    n = 2048
    a = jax.numpy.ones((n, n))
    b = jax.numpy.ones(2**26)
    runs = {
        "matmul_gmadds": (jax.jit(lambda a: a @ a), a, n**3 / 1e9),
        "copy_gbytes": (jax.jit(lambda b: b + 1), b, 2 * b.nbytes / 1e9),
    }
    found = {}
    for name, (function, x, amount) in runs.items():
        seconds = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            function(x).block_until_ready()
            seconds.append(time.perf_counter() - start)
        found[name] = round(amount / min(seconds), 1)
    return found


def main(argv=None) -> None:
    """Measures every setting and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", required=True, help="where to write the rows")
    parser.add_argument("--quick", action="store_true", help="two settings of L = 4")
    parser.add_argument(
        "--torch",
        choices=("eager", "compiled", "none"),
        default="eager",
        help="how PyTorch is run beside it, on the same device; none: where it is not "
        "installed",
    )
    parser.add_argument(
        "--setting",
        type=parse_setting,
        metavar="L:N,N,N:C:BATCH:PIXELS:DTYPE",
        help="this one alone, such as 4:18,20,18:16:64:28:float32",
    )
    parser.add_argument("--cases", default="", help="only these, such as whole,group")
    arguments = parser.parse_args(argv)
    keep_freed_memory()
    rows, machine = [], peaks()
    print(f"peaks: {machine}", flush=True)
    settings = QUICK if arguments.quick else ALL
    for setting in [arguments.setting] if arguments.setting else settings:
        only = [name for name in arguments.cases.split(",") if name]
        for row in measure(setting, arguments.torch, only):
            used = 3 * row["active_madds"] * row["batch"] / row["step_ms"] / 1e6
            row["share_of_peak"] = round(used / machine["matmul_gmadds"], 3)
            rows.append({**row, **machine, "device": distributed.describe_devices()})
            print(describe(row), flush=True)
        files.write_json(arguments.json, rows)


def parse_setting(text: str) -> Setting:
    """A `Setting` from "4:18,20,18:16:64:28:float32"."""
    try:
        L, nodes, width, batch, pixels, dtype = text.split(":")
        nodes = tuple(map(int, nodes.split(",")))
        return Setting(int(L), nodes, int(width), int(batch), int(pixels), dtype)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no setting; give one such as 4:18,20,18:16:64:28:float32."
        ) from error


def describe(row: dict[str, Any]) -> str:
    """A row as a line."""
    theirs = ""
    if row["torch_ms"]:
        theirs = f"  PyTorch {row['torch_ms']:7.1f} ms ({row['torch_mode']}), "
        theirs += f"ratio {row['ratio']:.2f}"
    return (
        f"L = {row['num_precursors']}  N = {row['nodes']!s:12}  C = {row['width']}  "
        f"batch {row['batch']}  {row['case']:8}  compile {row['compile_s']:5.1f} s  "
        f"step {row['step_ms']:7.1f} ms ({row['share_of_whole'] or 1:4.0%})  "
        f"{row['active_madds'] / 1e6:6.1f}M MAdds active  "
        f"temporaries {row['temp_mb']:5.0f} MB{theirs}"
    )


if __name__ == "__main__":
    main()
