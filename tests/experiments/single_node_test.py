"""The study of one node has the edges that it says, and only that node learns."""

import numpy as np

from ifnas_jax.experiments.single_node import study_masks
from ifnas_jax.spaces.lchain import lchain


def test_the_study_has_a_chain_the_candidates_and_what_is_added():
    stages = study_masks(lchain(6, (1, 9, 1)), ((1, 4), (3, 7)))
    chain = {(node - 1, node) for node in range(1, 10)}
    edges = [{(0, 1)}, chain | {(5, 8), (2, 8), (1, 4), (3, 7)}, {(0, 1)}]
    for stage, expected, learned in zip(stages, edges, ([], [8], []), strict=True):
        (active,), (learns,) = stage.active, stage.learned
        assert (active.all(axis=2) == active.any(axis=2)).all()
        found = np.argwhere(active.any(axis=2)).tolist()
        assert {(row - column, row + 1) for row, column in found} == expected
        assert (np.flatnonzero(learns) + 1).tolist() == learned
