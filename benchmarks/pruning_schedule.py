"""Does a config's schedule reach its target by pruning? A simulation of gates alone.

    python -m benchmarks.pruning_schedule [--json=FILE] [--config FILE.py[:DATASET] ...]
        [--config.method=goldnas ...]

No images and no network: the gates start where a search's β and α phases left them
(logits N(0, 0.2²) and N(0, 0.1²), the spread measured in the mnist5k run) and then
move by the regulariser alone, with the config's own optimiser, sampling, pruning and
μ. What the loss would add is missing, so this shows that the schedule can reach its
target, not what it would find. Seconds a config; the default is every config that
the project ships, with the number of training images of its data set.
"""

import argparse
import itertools

import jax
import jax.numpy as jnp
import numpy as np

from ifnas_jax import config as config_lib
from ifnas_jax import files, training
from ifnas_jax.architecture import cost
from ifnas_jax.config.command_line import load_config
from ifnas_jax.methods import make_method
from ifnas_jax.methods.interface import Event
from ifnas_jax.methods.schedule import search_schedule

# Training images that a search reads: the training split less the validation part.
IMAGES = {
    "imagenet2012": 1_255_544,
    "imagenet100": 124_000,
    "cifar10": 45_000,
    "fashion_mnist": 54_000,
    "mnist5k": 3_600,
}
SPACES = ("lchain1", "lchain4", "lchain6", "lchain8", "goldnas_space")
CONFIGS = [f"configs/{space}.py:{name}" for space in SPACES for name in IMAGES]


def logits_at_pruning(method, seed: int) -> dict:
    """Logits as the phases before pruning leave them, at random."""
    rng, logits = np.random.default_rng(seed), method.init(jax.random.key(0))
    # Those that have moved since the β phase, and those since the α phase.
    scales = {"beta": 0.2, "alpha": 0.1 if "beta" in logits else 0.2}
    return {
        key: tuple(
            jnp.float32(rng.normal(0, scales[key], leaf.shape)) for leaf in logits[key]
        )
        for key in sorted(logits, reverse=True)
    }


def simulate(config, num_images: int, seed: int = 0) -> dict:
    """One search, gates only: how many prunings it took, and how it ended."""
    config_lib.resolve(config, None)
    space, macro = config_lib.space(config), config_lib.macro(config)
    method = make_method(config, space, config_lib.macro(config))
    kept = space.full()
    schedule = search_schedule(config, num_images, config.sampling.modulus + 1)
    fields = config.search
    optimizer = training.sgd(
        fields.arch_learning_rate, fields.arch_momentum, fields.arch_weight_decay
    )
    arch = logits_at_pruning(method, seed)
    state = optimizer.init(arch)

    @jax.jit
    def loop(arch, state, masks, mu):
        def body(i, carry):
            arch, state = carry
            now = jax.tree.map(lambda mask: mask[schedule.mask(i)], masks)

            def penalty(arch):
                return method.penalty(arch, now, mu)

            updates, state = optimizer.update(
                jax.grad(penalty)(arch),
                state,
                arch,
                active=method.moves(now, schedule.prune, schedule),
            )
            return jax.tree.map(jnp.add, arch, updates), state

        return jax.lax.fori_loop(0, schedule.loop, body, (arch, state))

    step = -(-schedule.prune // schedule.loop) * schedule.loop
    strength = method.strength
    madds = [cost.network_cost(space, macro, kept).madds]
    while step < schedule.total and madds[-1] > config.target_madds:
        mu = method.mu(schedule, strength, step)
        masks = method.masks(kept, step // schedule.loop)
        arch, state = loop(arch, state, masks, mu)
        step += schedule.loop
        gates = method.gates(jax.device_get(arch), kept)
        kept, removals = method.prune(kept, gates)
        madds.append(cost.network_cost(space, macro, kept).madds)
        event = Event(step, madds[-2], madds[-1], len(removals))
        strength = method.next_strength(schedule, strength, event)
    return {
        "met_by_pruning": madds[-1] <= config.target_madds,
        "target_madds": config.target_madds,
        "madds": madds[-1],
        "prunings": sum(a > b for a, b in itertools.pairwise(madds)),
        "largest_drop": max((a - b) / madds[0] for a, b in itertools.pairwise(madds)),
        "loops": step // schedule.loop,
        "loops_at_most": schedule.total // schedule.loop,
    }


def main(argv=None) -> None:
    """Simulates every config and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", nargs="*", default=CONFIGS, help="files")
    parser.add_argument("--json", help="where to write the rows")
    arguments, overrides = parser.parse_known_args(argv)
    rows = []
    for path in arguments.config:
        config = load_config(path, overrides)
        row = {"config": path, "method": config.method}
        row |= simulate(config, IMAGES[config.dataset.name])
        rows.append(row)
        print(
            f"{path:36} {'pruning' if row['met_by_pruning'] else 'FALLBACK':8} "
            f"{row['madds'] / 1e6:6.1f}M of {row['target_madds'] / 1e6:6.1f}M  "
            f"{row['prunings']:3} prunings, at most {100 * row['largest_drop']:4.1f} % "
            f"at once  loop {row['loops']:4} of {row['loops_at_most']}",
            flush=True,
        )
    if arguments.json:
        files.write_json(arguments.json, rows)


if __name__ == "__main__":
    main()
