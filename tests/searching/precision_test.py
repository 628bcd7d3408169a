"""bfloat16 against float32, compiled as users have it: it takes many steps."""

import numpy as np
from search_step_test import make_job, train

from ifnas_jax.nn.supernet import Supernet
from ifnas_jax.runtime import distributed


def make_patterns(seed):
    """32 images of ten classes, with noise: something to learn."""
    patterns = np.random.default_rng(0).normal(size=(10, 16, 16, 1))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, 32).astype(np.int32)
    images = patterns[labels] + rng.normal(size=(32, 16, 16, 1))
    return distributed.shard({"image": images.astype(np.float32), "label": labels})


def test_bfloat16_agrees_with_float32_over_50_steps():
    """Losses, which fall by more than one, within 0.1; gates within 0.02."""
    sizes = {"macro.search_width": 8, "dataset.image_size": 16}
    jobs = [make_job(Supernet, dtype=x, **sizes) for x in ("float32", "bfloat16")]
    (full, losses), (half, others) = (train(job, 50, make_patterns) for job in jobs)
    assert losses != others
    assert losses[-1] < losses[0] - 1
    np.testing.assert_allclose(losses, others, atol=0.1)
    moved = []
    for name in ("beta", "alpha"):
        for one, other in zip(full.arch[name], half.arch[name], strict=True):
            one, other = (1 / (1 + np.exp(-np.asarray(x))) for x in (one, other))
            np.testing.assert_allclose(one, other, atol=0.02)
            moved.append(np.abs(one - 0.5).max())
    assert max(moved) > 0.05, "gates that stand still agree"
