"""What a whole search costs, from the cost model: the table of docs/cost.md.

    python -m benchmarks.search_cost --rows=benchmarks/results/search_step.json
    python -m benchmarks.search_cost --rows=FILE --run=WORKDIR

Counts the multiply-adds of every step of a search of `configs/lchain*.py` in which
nothing is pruned before its end, which is the most that it can take. Hours on the CPU
follow from the line through the measured steps (`benchmarks.step_figure`); those on
accelerators from their peak and a share of it that is an assumption, not a measurement.

With a finished run of `configs/lchain4.py:mnist5k` it says instead what the line of
rows from the same machine predicts for that run, step by step as it was pruned, beside
the seconds that it took.
"""

import argparse
import functools
import itertools
import os

from benchmarks.search_step import PAPER, SMALL
from benchmarks.step_figure import line, settings
from ifnas_jax import config as config_lib
from ifnas_jax.architecture import cost
from ifnas_jax.errors import InputError
from ifnas_jax.files import read_json, read_rows
from ifnas_jax.methods import make_method
from ifnas_jax.methods.sampling import modulus
from ifnas_jax.methods.schedule import search_schedule

IMAGES = 1_281_167  # of ImageNet's training part
# Forward, backward, and what is inside an edge once more on the way back.
PASSES = 4
# bfloat16 FLOP/s by their makers' data sheets, and what share of it is assumed.
MACHINES = {"v5e-16": 16 * 197e12, "8 × H100": 8 * 989e12}
SHARE = 0.02


def active_madds(config) -> tuple[int, float, int]:
    """MAdds an image of the whole network, of a mean step, and steps of the search."""
    config_lib.resolve(config, None)
    space, macro = config_lib.space(config), config_lib.search_macro(config)
    kept = space.full()
    whole = cost.network_cost(space, macro, kept).madds
    stacked = make_method(config, space, config_lib.macro(config)).masks(kept, 0)
    madds = [
        cost.network_cost(space, macro, [stage.active[i] for stage in stacked]).madds
        for i in range(len(stacked[0].active))
    ]
    images = round(IMAGES * (1 - config.dataset.valid_fraction))
    schedule = search_schedule(config, images, modulus(config, space) + 1)
    # A search is a whole number of loops.
    steps = range(schedule.loop)
    loop = [madds[int(schedule.mask(schedule.sampled + step))] for step in steps]
    return whole, sum(loop) / len(loop), schedule.total


def of_setting(rows, num_precursors: int, nodes: tuple[int, ...]):
    """The rows of one network, at the width of a search and batches of 32.

    Raises:
      InputError: there are none.
    """
    wanted = num_precursors, list(nodes), 16, 32
    names = "num_precursors", "nodes", "width", "batch"
    for group in settings(rows):
        if tuple(group[0][name] for name in names) == wanted:
            return group
    raise InputError(
        f"the rows have no network of L = {num_precursors}, nodes {tuple(nodes)}, "
        "width 16 and batch 32; measure it with benchmarks.search_step."
    )


def table(rows) -> str:
    """The table, in Markdown."""
    start, slope = line(of_setting(rows, 4, PAPER))
    lines = [
        "| L | nodes | whole network | a mean step | of it | FLOPs of the search | "
        "hours, 2 CPU cores | "
        + " | ".join(f"hours of computing, {name}" for name in MACHINES)
        + " |",
        "|---" * (7 + len(MACHINES)) + "|",
    ]
    for num_precursors, nodes in itertools.product((1, 4, 6, 8), (SMALL, PAPER)):
        config = config_lib.default("imagenet2012")
        config.space.update(num_precursors=num_precursors, nodes=nodes)
        whole, mean, steps = active_madds(config)
        batch = config.search.batch_size
        flops = 2 * PASSES * mean * batch * steps
        milliseconds = (start + slope * mean / 1e6) * batch / 32
        hours = [milliseconds * steps / 3.6e6]
        hours += [flops / (peak * SHARE) / 3600 for peak in MACHINES.values()]
        lines.append(
            f"| {num_precursors} | {nodes} | {whole / 1e6:.0f}M | {mean / 1e6:.0f}M | "
            f"{mean / whole:.0%} | {flops:.1e} | "
            + " | ".join(f"{h:,.0f}" if h > 10 else f"{h:.1f}" for h in hours)
            + " |"
        )
    return "\n".join(lines)


def of_run(rows, workdir: str) -> str:
    """What the line predicts for a run, beside what it took."""
    at = functools.partial(os.path.join, workdir, "search")
    stored = read_json(os.path.join(workdir, "config.json"))
    config = config_lib.default(stored["dataset"]["name"])
    config.update(stored)
    space, macro = config_lib.space(config), config_lib.search_macro(config)
    fields = config.space.num_precursors, config.space.nodes
    start, slope = line(of_setting(rows, *fields))
    method, kept = make_method(config, space, config_lib.macro(config)), space.full()
    removals = read_rows(at("prunings.jsonl"))
    seconds, before = 0.0, 0
    for row in read_rows(at("metrics.jsonl")):
        stacked = method.masks(kept, 0)
        active = [stage.active[row["group"]] for stage in stacked]
        madds = cost.network_cost(space, macro, active).madds / 1e6
        seconds += (row["step"] - before) * (start + slope * madds) / 1e3
        before = row["step"]
        for one in removals:
            if one["step"] == before:
                pair = one["dst"] - 1, one["dst"] - one["src"] - 1
                kept[one["stage"] - 1][*pair, space.operators.index(one["op"])] = False
    took = read_json(at("summary.json"))["search_seconds"]
    return f"{before} steps: {seconds:.0f} s by the line, {took} s measured"


def main(argv=None) -> None:
    """Prints the table, or what a run took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", required=True, help="of benchmarks.search_step")
    parser.add_argument("--run", help="the workdir of a finished run")
    arguments = parser.parse_args(argv)
    rows = read_json(arguments.rows)
    print(of_run(rows, arguments.run) if arguments.run else table(rows))


if __name__ == "__main__":
    main()
