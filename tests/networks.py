"""Derived networks drawn at random."""

import jax
import jax.numpy as jnp
import numpy as np

from ifnas_jax.architecture import from_kept
from ifnas_jax.spaces import lchain


def random_architecture(seed, macro, space=None):
    """Each node keeps an operator of its nearest edge, and about 2 of 5 other pairs."""
    rng = np.random.default_rng(seed)
    space = space or lchain(int(rng.integers(1, 5)), rng.integers(1, 6, 3).tolist())
    kept = []
    for stage in space.full():
        stage = stage & (rng.random(stage.shape) < 0.4)
        stage[np.arange(len(stage)), 0, rng.integers(0, 2, len(stage))] = True
        kept.append(stage)
    return from_kept(space, kept, macro)


def shapes(network):
    """Shapes of a network's variables, and images for it."""
    macro = network.architecture.macro
    images = jnp.zeros((1, macro.image_size, macro.image_size, macro.channels))
    init = lambda rng: network.init(rng, images, train=True)  # noqa: E731
    return jax.eval_shape(init, jax.random.key(0)), images


def random_variables(network, seed=0):
    """Parameters and running statistics, all of them drawn: each one counts."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        name, shape = path[-1].key, leaf.shape
        if name == "kernel":
            scale = np.prod(shape[:-1]) ** -0.5
            return (scale * rng.normal(size=shape)).astype(np.float32)
        if name in ("scale", "var"):
            return rng.uniform(0.5, 1.5, shape).astype(np.float32)
        return (0.5 * rng.normal(size=shape)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, dict(shapes(network)[0]))


def named_params(net, params, architecture):
    """A super-network's parameters as those of the network that is a part of it."""
    named = {"stem": params["stem"], "classifier": params["classifier"]}
    for index, position in enumerate(net.positions):
        named[f"input{index + 1}"] = params["inputs"][index]
        stage = architecture.stages[position.stage]
        for edge in stage.edges:
            where, stacked = (edge.dst - 1, edge.dst - edge.src - 1), "stages"
            if stage.graph.stride == 2 and edge.src <= 0:
                where, stacked = (edge.dst - 1, edge.src + 1), "strided"
            for op in edge.ops:
                own = jax.tree.map(
                    lambda a, where=where: a[where], params[stacked][index][op]
                )
                if own:
                    named[f"stage{index + 1}_{edge.src}_{edge.dst}_{op}"] = own
    return named
