"""A few matrices that stand for the super-network where its operators don't matter."""

import jax
import jax.numpy as jnp
import numpy as np

CLASSES, WIDTH = 3, 4


class Net:
    """A stage is one matrix: the sum of its pairs', by their weights."""

    pixels = 4

    def __init__(self, space, *sizes):
        del sizes
        self.space = space

    def init(self, rng):
        del rng  # jax.random takes long to compile.
        normal = np.random.default_rng(0).normal
        shapes = [stage.shape for stage in self.space.full()]
        params = {
            "stem": normal(size=(self.pixels, WIDTH)),
            "stages": [0.5 * normal(size=(*s, WIDTH, WIDTH)) for s in shapes],
            "classifier": normal(size=(WIDTH, CLASSES)),
        }
        return jax.tree.map(jnp.float32, params)

    def apply(self, params, weights, active, images):
        x = images.reshape(len(images), -1) @ params["stem"]
        for stage, on, own in zip(weights, active, params["stages"], strict=True):
            kernel = jnp.einsum("nlo,nloij->ij", jnp.where(on, stage, 0), own)
            x = jnp.tanh(x @ kernel) + x
        return x @ params["classifier"]

    def active_params(self, params, active):
        tree = jax.tree.map(lambda _: jnp.array(True), params)
        return {**tree, "stages": [on[..., None, None] for on in active]}
