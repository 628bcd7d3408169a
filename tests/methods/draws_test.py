"""Random architectures: uniform, valid, and within their budget."""

import collections
import itertools
import math

import numpy as np
import pytest
from documented import ROOT

from ifnas_jax import config as config_lib
from ifnas_jax.architecture import delete_unread, from_kept
from ifnas_jax.architecture.cost import Macro, fixed_cost, pair_costs
from ifnas_jax.config.command_line import load_config
from ifnas_jax.errors import InputError
from ifnas_jax.methods import derivations, draws
from ifnas_jax.operators.names import OPERATORS
from ifnas_jax.spaces.graph import Space, cell
from ifnas_jax.spaces.lchain import lchain

CONFIGS = ROOT / "configs"
PRESETS = ("imagenet2012", "imagenet100", "cifar10", "fashion_mnist", "mnist5k")

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


def cost_of(space, macro, kept):
    return from_kept(space, kept, macro).cost().madds


def madds(kept):
    return cost_of(CHAIN, MACRO, kept)


@pytest.mark.parametrize("target", [1_800_000, 3_000_000])
def test_drawn_to_a_target_is_always_in_the_band(target):
    rng, seen = np.random.default_rng(0), set()
    for _ in range(15):
        kept = draws.to_target(CHAIN, MACRO, target, 0.95, rng)
        assert 0.95 * target <= madds(kept) <= target
        assert all(map(np.array_equal, kept, delete_unread(CHAIN.stages, kept)))
        seen.add(np.concatenate([stage.ravel() for stage in kept]).tobytes())
    assert len(seen) == 15


def exact_to_target(space, macro, target, band):
    """Probability of each outcome of `to_target` in a space of cells, by brute force.

    A random order of dropping is the same as dropping, each time, any pair that may go.
    """
    costs = [stage.madds for stage in pair_costs(space, macro)]
    fixed = fixed_cost(space, macro).madds
    nodes = [
        [(s, n - 1, len(stage.precursors(n))) for n in range(1, stage.num_nodes + 1)]
        for s, stage in enumerate(space.stages)
    ]
    nodes = list(itertools.chain(*nodes))
    price = {}
    for s, row, edges in nodes:
        for column, op in itertools.product(range(edges), range(2)):
            price[s, row, column, op] = costs[s][row, column, op]
    subsets = [
        [[(s, row, *pair) for pair in own] for own in node_subsets(edges)]
        for s, row, edges in nodes
    ]
    chances, final = collections.Counter(), collections.Counter()
    for choice in itertools.product(*subsets):
        chances[frozenset(itertools.chain(*choice))] += 1

    def least(pairs):
        return fixed + sum(
            min((price[p] for p in pairs if p[:2] == (s, row)), default=math.inf)
            for s, row, _ in nodes
        )

    while chances:
        pairs = max(chances, key=len)
        chance = chances.pop(pairs)
        total = fixed + sum(price[p] for p in pairs)
        if total <= target:
            final[pairs] += chance * (total >= band * target)
            continue
        smaller = [pairs - {p} for p in pairs if least(pairs - {p}) <= target]
        for left in smaller:
            chances[left] += chance / len(smaller)
    return {pairs: chance / final.total() for pairs, chance in final.items() if chance}


def test_drawn_to_a_target_has_the_distribution_of_its_rule(monkeypatch):
    stages = cell(2, 2, False), cell(1, 1, True), cell(1, 1, True)
    space, macro = Space("goldnas", OPERATORS, stages), Macro(8, 10, 28, 1, "small", 3)
    full = cost_of(space, macro, space.full())
    target, band = int(0.7 * full), 0.8
    exact = exact_to_target(space, macro, target, band)
    assert len(exact) > 50

    def statistic(count=4000):
        """Chi-square, in units of its critical value at p = 1e-6."""
        counts, rng = collections.Counter(), np.random.default_rng(1)
        for _ in range(count):
            kept = draws.to_target(space, macro, target, band, rng)
            pairs = [
                (s, *pair)
                for s, stage in enumerate(kept)
                for pair in np.argwhere(stage).tolist()
            ]
            counts[frozenset(pairs)] += 1
        assert set(counts) <= set(exact)
        # Rare outcomes are one, so that no expected count is small.
        common = [key for key, chance in exact.items() if chance * count >= 5]
        found = [(counts[key], count * exact[key]) for key in common]
        rare = [sum(column) for column in zip(*found, strict=True)]
        found.append(tuple(count - value for value in rare))
        # Wilson and Hilferty's approximation.
        part = 2 / (9 * (len(found) - 1))
        limit = (len(found) - 1) * (1 - part + 4.753 * part**0.5) ** 3
        return sum((seen - e) ** 2 / e for seen, e in found if e > 0.5) / limit

    assert statistic() < 1
    plain = derivations.drop_weakest

    def farthest_first(space, macro, kept, order, target):
        order = [stage - 0.5 * np.arange(stage.shape[1])[:, None] for stage in order]
        return plain(space, macro, kept, order, target)

    monkeypatch.setattr(derivations, "drop_weakest", farthest_first)
    assert statistic() > 1


def test_the_seed_decides():
    def draw(seed):
        rng = np.random.default_rng(seed)
        kept = draws.to_target(CHAIN, MACRO, 3_000_000, 0.95, rng)
        return np.concatenate([stage.ravel() for stage in kept])

    assert np.array_equal(draw(0), draw(0))
    assert not np.array_equal(draw(0), draw(1))


@pytest.mark.parametrize("name", ["lchain1", "lchain4", "lchain6", "lchain8"])
@pytest.mark.parametrize("dataset", PRESETS)
def test_every_preset_draws_whatever_random_and_randomws_ask_for(name, dataset):
    config = load_config(f"{CONFIGS / name}.py:{dataset}")
    space, sizes = config_lib.space(config), config_lib.macro(config)
    target, band = config.target_madds, config.random.band
    # Of random and of randomws' candidates, and of what randomws trains.
    streams = [[0], [1, 0], [1, 1], [2, 0], [2, 1]]
    for numbers in streams:
        rng = np.random.default_rng([config.seed, *numbers])
        for _ in range(4):
            kept = draws.to_target(space, sizes, target, band, rng)
            assert band * target <= cost_of(space, sizes, kept) <= target
    draws.check_target(space, sizes, target, band, np.random.default_rng(0))


def test_a_target_that_is_seldom_hit_is_refused_before_a_run_of_many_draws():
    # In the tail of what is drawn: one is found, but thousands would not be.
    case = CHAIN, MACRO, 4_300_000, 0.97
    assert draws.to_target(*case, np.random.default_rng(0))
    with pytest.raises(
        InputError, match=r"random\.band is 0\.97, but only \d of 1,000"
    ):
        draws.check_target(*case, np.random.default_rng(0))


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
