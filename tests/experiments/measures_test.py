"""What is read off a search, against counts by hand and what the search found."""

import functools

import numpy as np
import pytest

from ifnas_jax import config as config_lib
from ifnas_jax.architecture import load
from ifnas_jax.experiments import claims, measures, scales
from ifnas_jax.report.run import read_run

BASE = functools.partial(scales.base, "proxy", "", "", ())


def row(*nodes):
    """One stage of L = 2, whose first node has one input; α is open everywhere."""
    beta = [[0.5, None], *map(list, nodes)]
    alpha = [[[None if b is None else 1.0] * 2 for b in node] for node in beta]
    return {"step": 1, "beta": [beta], "alpha": [alpha]}


def test_entropy_is_one_of_equal_gates_and_falls_as_one_wins():
    rows = [
        row((0.5, 0.5), (0.3, 0.3)),
        row((0.9, 0.1), (0.3, 0.3)),
        row((1, 0), (0, 1)),
    ]
    share = np.array([0.9, 0.1])
    half = -(share * np.log2(share)).sum()
    assert measures.entropy(rows) == pytest.approx([1, (half + 1) / 2, 0], abs=1e-4)
    # A node with all gates closed has decided nothing.
    assert measures.entropy([row((0, 0), (1, 0))]) == [0.5]


def test_agreement_is_with_the_end():
    rows = [row((0.4, 0.6), (0.6, 0.4)), row((0.6, 0.4), (0.7, 0.3))]
    assert measures.agreement(rows) == [0.5, 1.0]
    assert measures.pre1(rows[0]) == 0.5
    assert measures.pre1(rows[1]) == 1.0


def test_pre_1_is_the_distance_and_not_the_first_that_is_left():
    """Node 2 has lost pre-1, node 3 is deleted; node 4 chooses pre-1."""
    own = row((None, 0.7), (None, None), (0.8, 0.2))
    begun = row((0.5, 0.5), (0.5, 0.5), (0.5, 0.5))
    assert measures.pre1(own) == 1.0  # of the one node that has a choice
    assert len(measures.choices([begun, own])) == 2
    assert measures.agreement([begun, own]) == [0.5, 1.0]
    assert measures.entropy([begun, own])[0] == 1.0


@pytest.mark.parametrize("derivation", ["keep1", "target"])
def test_a_closed_gate_is_still_a_candidate(derivation):
    """Of the only input of node 1 nothing else can take the place."""
    config = BASE(
        space__nodes=(2, 1, 1), space__num_precursors=2, target_madds=1_500_000
    )
    rows = row((0.0, 0.7))
    rows["beta"] = [[[0.0, None], [0.0, 0.7]], [[0.0, None]], [[0.2, None]]]
    rows["alpha"] = [
        [[[None if b is None else 0.5] * 2 for b in node] for node in stage]
        for stage in rows["beta"]
    ]
    found = measures.derive(config, rows, derivation)
    assert found.depth() == 3
    assert [edge.src for edge in found.stages[0].edges] == [0]


def test_interleaved_pairs_of_the_claims_settings():
    """The same nodes learn in all but one; what is active beside them differs."""
    found = {
        own.label: measures.active_pairs(_resolved(own.config))
        for own in claims.settings(BASE)
        if own.label in claims.SEARCHED
    }
    learning = {label: sorted(own["learning"]) for label, own in found.items()}
    assert learning.pop(claims.WITHOUT) == [18] * 5
    assert set(map(tuple, learning.values())) == {(3, 3, 6, 6)}
    # Of two adjacent nodes, 4 and 5 say, all long candidates of both interleave.
    assert found[claims.ADJACENT]["interleaved"] == [3 * 2, 3 * 9, 0, 0]
    pairs = {label: sum(own["interleaved"]) for label, own in found.items()}
    doses = [pairs[label] for label in (claims.IF, *claims.DOSES)]
    assert doses[0] == 0
    assert doses == sorted(doses)
    assert len(set(doses)) == len(doses)
    # All of the space's pairs, counted by brute force.
    edges = [(a, b) for b in range(1, 7) for a in range(max(0, b - 4), b)]
    whole = sum(
        min(b, d) > max(a, c)
        for i, (a, b) in enumerate(edges)
        for c, d in edges[:i]
        if b != d and b - a > 1 and d - c > 1
    )
    assert found[claims.MATCHED]["interleaved"] == [3 * whole] * 4


def _resolved(config):
    config_lib.resolve(config, None)
    return config


def test_keep1_of_the_logged_gates_is_what_the_search_found(kept_one):
    run = read_run(kept_one)
    config = _resolved(BASE(derive="keep1"))
    config.update_from_flattened_dict(
        {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in run.config.items()
            if name.startswith(("space.", "macro.")) or name == "target_madds"
        }
    )
    config.dataset.update(image_size=28, channels=1)
    found = measures.derive(config, run.gates[-1], "keep1")
    assert found.to_json() == load(kept_one.search.architecture).to_json()
