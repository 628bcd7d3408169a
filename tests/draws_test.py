"""Random architectures: uniform, valid, and within their budget."""

import collections
import itertools

import numpy as np
import pytest

from ifnas_jax import draws
from ifnas_jax.architecture import delete_unread, from_kept
from ifnas_jax.cost import Macro
from ifnas_jax.errors import InputError
from ifnas_jax.spaces.graph import Space, cell
from ifnas_jax.spaces.lchain import OPERATORS, lchain

# Two nodes, of which none is ever deleted: node 1 has two inputs, node 2 three.
CELL = Space("darts", OPERATORS, (cell(2, 3, False),), shared=True, inputs_kept=2)
# Two inputs each.
NARROW = Space("darts", OPERATORS, (cell(2, 2, False),), shared=True, inputs_kept=2)
CHAIN = lchain(3, (4, 5, 3))
MACRO = Macro(8, 10, 28, 1, "small")

# Chi-square's critical values at p = 1e-6, by degrees of freedom.
CRITICAL = {5: 35.888, 47: 108.177, 224: 339.362}


def node_choices(edges, count, one_operator):
    """All that a node can keep: sets of (column, operator)."""
    for columns in itertools.combinations(range(edges), min(count, edges)):
        operators = [[(0,), (1,)]] if one_operator else [[(0, 1)]]
        for ops in itertools.product(*operators * len(columns)):
            yield {(c, o) for c, own in zip(columns, ops, strict=True) for o in own}


def node_subsets(edges):
    pairs = list(itertools.product(range(edges), range(2)))
    for size in range(1, len(pairs) + 1):
        yield from map(set, itertools.combinations(pairs, size))


def outcome(kept):
    (stage,) = kept
    return tuple(frozenset(map(tuple, np.argwhere(node).tolist())) for node in stage)


def chi_square(draw, outcomes, each):
    """The statistic of draws that should hit all outcomes alike."""
    outcomes = [tuple(map(frozenset, o)) for o in outcomes]
    counts = collections.Counter(outcome(draw()) for _ in range(each * len(outcomes)))
    assert set(counts) <= set(outcomes)
    return sum((counts[o] - each) ** 2 / each for o in outcomes)


@pytest.mark.parametrize(("count", "one_operator"), [(1, False), (2, True)])
def test_inputs_are_drawn_uniformly(count, one_operator):
    rng = np.random.default_rng(0)
    nodes = [list(node_choices(edges, count, one_operator)) for edges in (2, 3)]
    outcomes = list(itertools.product(*nodes))
    assert len(outcomes) == (48 if one_operator else 6)

    def draw():
        return draws.inputs(CELL, rng, count, one_operator)

    def biased():
        """Mostly uniform: but node 2 takes its nearest input once in eight draws."""
        kept = draw()
        if rng.random() < 1 / 8:
            kept[0][1] = False
            kept[0][1, range(count), 0] = True
            kept[0][1, range(count), 1] = not one_operator
        return kept

    limit, each = CRITICAL[len(outcomes) - 1], 4000 // len(outcomes)
    assert chi_square(draw, outcomes, each) < limit
    assert chi_square(biased, outcomes, each) > limit


def test_subsets_are_drawn_uniformly():
    rng = np.random.default_rng(0)
    outcomes = list(itertools.product(*(list(node_subsets(2)) for _ in range(2))))
    assert len(outcomes) == 15**2

    def biased():
        """Where no pair was drawn the first one stays: twice as often as another."""
        (full,) = NARROW.full()
        kept = full & (rng.random(full.shape) < 0.5)
        kept[~kept.any(axis=(1, 2)), 0, 0] = True
        return (kept,)

    limit, each = CRITICAL[len(outcomes) - 1], 30
    assert chi_square(lambda: draws.subsets(NARROW, rng), outcomes, each) < limit
    assert chi_square(biased, outcomes, each) > limit


@pytest.mark.parametrize("space", [CHAIN, CELL], ids=["chain", "cell"])
@pytest.mark.parametrize(("count", "one_operator"), [(1, False), (2, True), (2, False)])
def test_inputs_are_valid_architectures(space, count, one_operator):
    rng = np.random.default_rng(0)
    for _ in range(20):
        kept = draws.inputs(space, rng, count, one_operator)
        assert all(map(np.array_equal, kept, delete_unread(space.stages, kept)))
        for graph, stage in zip(space.stages, kept, strict=True):
            assert not (stage & ~graph.valid()[:, :, None]).any()
            assert (stage.any(axis=2).sum(axis=1) <= count).all()
            assert stage[-1].any()
            operators = set(stage.sum(axis=2).ravel().tolist())
            assert operators <= ({0, 1} if one_operator else {0, 2})


def madds(kept):
    return from_kept(CHAIN, kept, MACRO).cost().madds


@pytest.mark.parametrize("target", [1_800_000, 3_000_000])
def test_drawn_to_a_target_is_always_in_the_band(target):
    rng, seen = np.random.default_rng(0), set()
    for _ in range(15):
        kept = draws.to_target(CHAIN, MACRO, target, 0.95, rng)
        assert 0.95 * target <= madds(kept) <= target
        assert all(map(np.array_equal, kept, delete_unread(CHAIN.stages, kept)))
        seen.add(np.concatenate([stage.ravel() for stage in kept]).tobytes())
    assert len(seen) == 15


def test_the_seed_decides():
    def draw(seed):
        rng = np.random.default_rng(seed)
        kept = draws.to_target(CHAIN, MACRO, 3_000_000, 0.95, rng)
        return np.concatenate([stage.ravel() for stage in kept])

    assert np.array_equal(draw(0), draw(0))
    assert not np.array_equal(draw(0), draw(1))


def test_a_band_that_is_never_hit_is_refused(monkeypatch):
    monkeypatch.setattr(draws, "ATTEMPTS", 30)
    # All MAdds are multiples of a pair's: none is this number.
    with pytest.raises(InputError, match=r"random\.band is 1\.0") as error:
        draws.to_target(CHAIN, MACRO, 3_000_001, 1.0, np.random.default_rng(0))
    nearest = int(
        str(error.value).split("nearest had ")[1].split(")")[0].replace(",", "")
    )
    assert 2_500_000 < nearest < 3_000_001
    # Nor can the fixed parts alone be under a target.
    with pytest.raises(InputError, match=r"random\.band"):
        draws.to_target(CHAIN, MACRO, 1000, 0.5, np.random.default_rng(0))
