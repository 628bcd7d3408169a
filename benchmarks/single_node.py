"""What interleaved connections do to one node's gates (Figures 1 and 8 of the paper).

    python -m benchmarks.single_node --json=FILE --figure=FILE.svg [--seeds=0,1,2]
        [--config=configs/lchain6.py:mnist5k] [--warmup-epochs=4] [--epochs=4]

No search method is at work. The network is a plain chain; node 8 of its middle stage
has the candidates pre-1, pre-3 and pre-6. After epochs of the weights alone, the gates
of these three edges move with the weights; nothing else of the architecture does. Then
the same with connections that interleave with them, of constant weight: (3, 7); (1, 4)
and (3, 7); (1, 4), (2, 6) and (3, 7). There is no penalty and nothing is pruned. The
paper has 20 epochs of each on ImageNet; it finds that pre-1 ends highest without
interleaved connections and lowest with three.
"""

import argparse
import os
import statistics
import sys

import jax
import matplotlib.pyplot as plt
import numpy as np

from ifnas_jax import config as config_lib
from ifnas_jax import files, training
from ifnas_jax.architecture import masks
from ifnas_jax.config.command_line import load_config
from ifnas_jax.config.validation import validate
from ifnas_jax.data.source import open_dataset
from ifnas_jax.report.files import save_as
from ifnas_jax.report.progress import Progress
from ifnas_jax.runtime import distributed
from ifnas_jax.search.make import make_search
from ifnas_jax.search.step import initial_state, make_batches, make_step

NODE, CANDIDATES, STAGE = 8, (1, 3, 6), 1
ADDED = ((), ((3, 7),), ((1, 4), (3, 7)), ((1, 4), (2, 6), (3, 7)))
NODES = (1, 9, 1)


def study_masks(space, added):
    """The chain, node 8's candidates and what is added, once for all steps."""
    kept = [np.zeros_like(stage) for stage in space.full()]
    for stage in kept:
        stage[:, 0] = True
    middle = kept[STAGE]
    for distance in CANDIDATES:
        middle[NODE - 1, distance - 1] = True
    for src, dst in added:
        middle[dst - 1, dst - src - 1] = True
    whole = masks.whole(tuple(kept), learned=False)
    whole[STAGE].learned[NODE - 1] = True
    return masks.stack([whole])


def make_config(arguments, overrides, seed: int):
    """The study's fields on top of the config's."""
    config = load_config(arguments.config, overrides)
    config.space.update(num_precursors=6, nodes=NODES)
    config.method, config.derive, config.seed = "dnas", "keep1", seed
    config.sampling.loop_warmup = True
    config.search.update(
        weights_epochs=arguments.warmup_epochs,
        beta_epochs=arguments.epochs,
        alpha_epochs=0.0,
        max_epochs=arguments.warmup_epochs + arguments.epochs + 1,
    )
    validate(config)
    config_lib.resolve(config, None)
    return config


def run(config, dataset, added, name: str, steps: dict) -> list[dict]:
    """One setting: the three gates, every ten steps.

    Args:
      config: of the seed.
      dataset: what to train on.
      added: the connections that are added.
      name: of the setting, for the progress line.
      steps: the compiled step, or {} the first time: masks and seed are data.
    """
    job = make_search(config, dataset)
    step_masks = study_masks(job.net.space, added)
    # All steps have the same masks, so a loop has one.
    job = job._replace(schedule=job.schedule._replace(positions=1, first=0))
    state, mu, rows = initial_state(job), np.zeros(2, np.float32), []
    batches = training.ShardedBatches(make_batches(config, dataset, 0, 0))
    try:
        if not steps:
            arguments = state, step_masks, mu, batches.peek()
            steps["train"], _ = training.compile_step(make_step(job), arguments)
        step = steps["train"]
        step_masks = training.place(step_masks)
        total = job.schedule.alpha
        with Progress(name, total) as progress:
            for number in range(1, total + 1):
                state, _ = step(state, step_masks, mu, next(batches))
                progress.update(number)
                if number % 10 == 0 or number == total:
                    rows.append({"step": number, "gates": gates(state)})
    finally:
        batches.close()
    return rows


def gates(state) -> list[float]:
    """g(β) of the node's candidates."""
    beta = np.asarray(jax.device_get(state.arch["beta"][STAGE]), np.float64)
    logits = beta[NODE - 1, [distance - 1 for distance in CANDIDATES]]
    return [round(float(1 / (1 + np.exp(-x))), 5) for x in logits]


def draw(results: list[dict]):
    """A panel a setting, a line a candidate: thin for a seed, thick for the mean."""
    figure, panels = plt.subplots(
        1, len(ADDED), figsize=(9.5, 2.6), sharey=True, layout="constrained"
    )
    colours = ("#440154", "#21918c", "#bddf26")
    for axes, added in zip(panels, ADDED, strict=True):
        own = [r for r in results if r["added"] == [list(edge) for edge in added]]
        steps = [row["step"] for row in own[0]["rows"]]
        values = np.array([[row["gates"] for row in r["rows"]] for r in own])
        for index, (distance, colour) in enumerate(
            zip(CANDIDATES, colours, strict=True)
        ):
            for seed in values[:, :, index]:
                axes.plot(steps, seed, color=colour, linewidth=0.5)
            mean = values[:, :, index].mean(axis=0)
            axes.plot(steps, mean, color=colour, linewidth=1.8, label=f"pre-{distance}")
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(
            "added: " + (", ".join(map(str, added)) if added else "none"), fontsize=8
        )
        axes.set_xlabel("step", fontsize=8)
        axes.tick_params(labelsize=7)
    panels[0].set_ylabel("g(β) of node 8", fontsize=8)
    panels[0].legend(fontsize=7, frameon=False)
    return figure


def summarise(results: list[dict]) -> list[dict]:
    """Mean and spread of the last gates over seeds, a setting a row."""
    summary = []
    for added in ADDED:
        own = [r for r in results if r["added"] == [list(edge) for edge in added]]
        last = np.array([r["rows"][-1]["gates"] for r in own])
        row = {"added": [list(edge) for edge in added], "seeds": len(own)}
        for index, distance in enumerate(CANDIDATES):
            values = last[:, index].tolist()
            spread = statistics.stdev(values) if len(values) > 1 else None
            row[f"pre-{distance}"] = {
                "mean": round(statistics.mean(values), 4),
                "std": None if spread is None else round(spread, 4),
            }
        # How often the direct precursor is the strongest.
        row["pre-1 strongest"] = int((last.argmax(axis=1) == 0).sum())
        summary.append(row)
    return summary


def main(argv=None) -> None:
    """Trains every setting with every seed; writes gates, means and a figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="configs/lchain6.py:mnist5k")
    parser.add_argument("--seeds", default="0,1,2", help="with commas")
    parser.add_argument("--warmup-epochs", type=float, default=4.0)
    parser.add_argument("--epochs", type=float, default=4.0)
    parser.add_argument("--json", required=True, help="where to write the gates")
    parser.add_argument("--figure", help="where to draw them, .svg or .png")
    arguments, overrides = parser.parse_known_args(argv)
    command = " ".join(["python -m benchmarks.single_node", *sys.argv[1:]])
    results, dataset, steps = [], None, {}
    if os.path.exists(arguments.json):
        # What the same command did before it was interrupted.
        stored = files.read_json(arguments.json)
        results = stored["runs"] if stored["command"] == command else []
    done = [(run["seed"], run["added"]) for run in results]
    for seed in (int(seed) for seed in arguments.seeds.split(",")):
        config = make_config(arguments, overrides, seed)
        distributed.check_batch("search", config.search)
        dataset = dataset or open_dataset(config.dataset)
        config.dataset.num_classes = dataset.num_classes
        for added in ADDED:
            row = {"seed": seed, "added": [list(edge) for edge in added]}
            if (seed, row["added"]) in done:
                continue
            name = f"seed {seed}, {len(added)} added"
            rows = run(config, dataset, added, name, steps)
            results.append(row | {"rows": rows})
            files.write_json(arguments.json, {"command": command, "runs": results})
    summary = summarise(results)
    files.write_json(
        arguments.json, {"command": command, "summary": summary, "runs": results}
    )
    for row in summary:
        print(row)
    if arguments.figure:
        save_as(draw(results), arguments.figure)


if __name__ == "__main__":
    main()
