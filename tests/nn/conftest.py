"""What tests of networks share."""

import jax
import numpy as np
import pytest
from documented import follow


@pytest.fixture
def own_operators(tmp_path, monkeypatch):
    """`my_operators`, as docs/own_operator.md shows it, can be imported."""
    follow("docs/own_operator.md", tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def random_params():
    """A function: parameters of a super-network, without compiling its `init`.

    All are drawn, the scales and offsets of batch norm too, so that each one counts.
    """

    def draw(net):
        rng = np.random.default_rng(0)
        shapes = jax.eval_shape(net.init, jax.random.key(0))
        return jax.tree.map(
            lambda x: (
                rng.uniform(0.2, 1.0, x.shape).astype(np.float32)
                * rng.choice([-1, 1], x.shape).astype(np.float32)
            ),
            shapes,
        )

    return draw
