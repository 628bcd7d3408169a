import itertools

import numpy as np
import pytest

from ifnas_jax import architecture, cost, pruning
from ifnas_jax.errors import InputError
from ifnas_jax.spaces.lchain import lchain

SPACE = lchain(3, (6, 4, 5))
MACRO = cost.Macro(4, 10, 32, 3, "small")
FIXED = cost.fixed_cost(MACRO).madds
SEP = [stage[0].madds for stage in cost.operator_costs(MACRO, ("sep_conv_3x3",))]
FULL = cost.network_cost(MACRO, SPACE.operators, SPACE.full()).madds
CHAIN = FIXED + sum(n * madds for n, madds in zip(SPACE.nodes, SEP, strict=True))


def madds_of(kept):
    """Fixed parts and every sep_conv that is left."""
    return FIXED + sum(
        int(s[:, :, 0].sum()) * madds for s, madds in zip(kept, SEP, strict=True)
    )


def random_gates(seed, low_share=0.5):
    """Gates about a threshold of 0.01; what is no edge has gates too."""
    rng = np.random.default_rng(seed)

    def draw(shape):
        low = rng.random(shape) < low_share
        return np.where(low, 0.01, 1.0) * rng.random(shape)

    shapes = [stage.shape for stage in SPACE.full()]
    return [draw(s[:2]) for s in shapes], [draw(s) for s in shapes]


class SlowPruner:
    """The rules of pruning over sets of (stage, src, dst, op), one at a time."""

    def __init__(self, kept):
        self.pairs = {
            (s, row - column, row + 1, op)
            for s, array in enumerate(kept)
            for row, column, op in np.argwhere(array).tolist()
        }
        self.log = []

    def madds(self):
        return FIXED + sum(SEP[s] for s, _, _, op in self.pairs if op == 0)

    def of_node(self, stage, dst):
        return {p for p in self.pairs if (p[0], p[2]) == (stage, dst)}

    def remove(self, pair, reason):
        self.pairs.discard(pair)
        self.log.append((pair, reason))

    def delete_unread(self):
        while True:
            read = {(s, src) for s, src, _, _ in self.pairs}
            read |= set(enumerate(SPACE.nodes))
            dead = sorted(p for p in self.pairs if (p[0], p[2]) not in read)
            if not dead:
                return
            for pair in dead:
                self.remove(pair, "unread")

    def threshold(self, beta, alpha, threshold, target):
        while self.madds() > target:
            choices = []
            for s, src, dst, op in self.pairs:
                place = dst - 1, dst - src - 1
                node = self.of_node(s, dst)
                edge = {p for p in node if p[1] == src}
                if edge != node:
                    choices.append((beta[s][place], edge, "edge gate"))
                if len(node) > 1:
                    gate = alpha[s][(*place, op)]
                    choices.append((gate, {(s, src, dst, op)}, "operator gate"))
            choices = [choice for choice in choices if choice[0] < threshold]
            if not choices:
                return
            _, pairs, reason = min(choices, key=lambda choice: choice[0])
            for pair in sorted(pairs):
                self.remove(pair, reason)
            self.delete_unread()

    def kept(self):
        result = [np.zeros_like(stage) for stage in SPACE.full()]
        for s, src, dst, op in self.pairs:
            result[s][dst - 1, dst - src - 1, op] = True
        return result


def check_account(before, after, removals):
    """Every pair that went is recorded once, with the MAdds right after it."""
    kept = [stage.copy() for stage in before]
    for stage, src, dst, op, madds, _ in removals:
        pair = dst - 1, dst - src - 1, SPACE.operators.index(op)
        assert kept[stage - 1][pair]
        kept[stage - 1][pair] = False
        assert type(madds) is int
        assert madds == madds_of(kept)
    assert same(kept, after)
    # Nothing unread is left, and every node that is read has an input.
    assert same(architecture.delete_unread(after), after)
    architecture.from_kept(SPACE, after, MACRO)


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("target", [0, round(1.2 * CHAIN)])
@pytest.mark.parametrize("seed", range(6))
def test_threshold_pruning_follows_the_rules(seed, target):
    beta, alpha = random_gates(seed)
    before = SPACE.full()
    after, removals = pruning.below_threshold(
        SPACE, MACRO, before, beta, alpha, 0.01, target
    )
    slow = SlowPruner(before)
    slow.threshold(beta, alpha, 0.01, target)
    assert same(before, SPACE.full())
    assert same(after, slow.kept())
    check_account(before, after, removals)
    reasons = [
        (stage - 1, src, dst, SPACE.operators.index(op), reason)
        for stage, src, dst, op, _, reason in removals
    ]
    assert sorted(reasons) == sorted((*pair, reason) for pair, reason in slow.log)
    unprompted = [entry for entry in reasons if entry[4] != "unread"]
    assert unprompted == [
        (*pair, reason) for pair, reason in slow.log if reason != "unread"
    ]
    # What was right once stays right: a second look finds nothing more.
    again, more = pruning.below_threshold(
        SPACE, MACRO, after, beta, alpha, 0.01, target
    )
    assert more == []
    assert same(again, after)


def test_threshold_pruning_ends_at_the_first_network_within_the_target():
    beta, alpha = random_gates(0, low_share=0.9)
    target = round(1.5 * CHAIN)
    after, removals = pruning.below_threshold(
        SPACE, MACRO, SPACE.full(), beta, alpha, 0.01, target
    )
    assert removals[-1].madds == madds_of(after) <= target
    prompted = [r for r in removals if r.reason != "unread"]
    assert len(prompted) > 10
    # Before the last event, that is the last edge or operator and what it made
    # unread, the target was not met.
    last = removals.index(prompted[-1])
    while removals[last - 1][:3] == removals[last][:3]:
        last -= 1
    assert removals[last - 1].madds > target


def test_all_gates_closed_leaves_each_node_its_strongest_pair():
    gates = [np.full(s.shape[:2], 0.005) for s in SPACE.full()]
    operators = [np.full(s.shape, 0.005) for s in SPACE.full()]
    for stage in range(3):
        gates[stage][:, 0] = 0.006  # pre-1 is the last edge to be looked at
        operators[stage][:, 0, 1] = 0.007  # its skip, the last operator
    after, _ = pruning.below_threshold(
        SPACE, MACRO, SPACE.full(), gates, operators, 0.01
    )
    for array in after:
        expected = np.zeros_like(array)
        expected[:, 0, 1] = True
        assert np.array_equal(array, expected)


def test_nothing_goes_at_the_threshold_itself_or_once_the_target_is_met():
    at = [np.full(s.shape[:2], 0.01) for s in SPACE.full()]
    open_gates = [np.full(s.shape, 0.01) for s in SPACE.full()]
    arguments = SPACE, MACRO, SPACE.full()
    assert pruning.below_threshold(*arguments, at, open_gates, 0.01)[1] == []
    assert pruning.below_threshold(*arguments, at, open_gates, 0.02, FULL)[1] == []
    assert pruning.below_threshold(*arguments, at, open_gates, 0.02, FULL - 1)[1]


@pytest.mark.parametrize("share", [0.95, 1.1, 1.5])
@pytest.mark.parametrize("seed", range(4))
def test_to_target_removes_the_weakest_until_the_target_is_met(seed, share):
    rng = np.random.default_rng(seed)
    before = SPACE.full()
    strength = [rng.random(stage.shape) for stage in before]
    target = round(share * CHAIN)
    after, removals = pruning.to_target(SPACE, MACRO, before, strength, target)
    check_account(before, after, removals)
    assert madds_of(after) <= target
    slow = SlowPruner(before)

    def strength_of(pair):
        stage, src, dst, op = pair
        return strength[stage][dst - 1, dst - src - 1, op]

    while slow.madds() > target:
        free = [p for p in slow.pairs if len(slow.of_node(p[0], p[2])) > 1]
        slow.remove(min(free, key=strength_of), "weakest")
        slow.delete_unread()
    assert same(after, slow.kept())


def test_to_target_refuses_what_no_node_could_give_up():
    space = lchain(1, (2, 1, 1), ("sep_conv_3x3",))
    with pytest.raises(InputError, match="target_madds is 1,000, but"):
        pruning.to_target(space, MACRO, space.full(), space.full(), 1_000)


@pytest.mark.parametrize("precursors", [1, 3])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_target_under_the_chain_is_met_when_convolutions_are_strongest(
    precursors, share
):
    space = lchain(precursors, (6, 4, 5))
    strength = [np.where([True, False], 0.9, 0.1) * stage for stage in space.full()]
    target = FIXED + round(share * (CHAIN - FIXED))
    after, _ = pruning.to_target(space, MACRO, space.full(), strength, target)
    assert madds_of(after) <= target
    # Gradual pruning leaves it within reach too.
    beta = [np.full(stage.shape[:2], 0.5) for stage in space.full()]
    alpha = [np.where([True, False], 0.9, 0.001) * s for s in space.full()]
    left, _ = pruning.below_threshold(
        space, MACRO, space.full(), beta, alpha, 0.01, target
    )
    after, _ = pruning.to_target(space, MACRO, left, strength, target)
    assert madds_of(after) <= target


@pytest.mark.parametrize("seed", range(5))
def test_keep_one_takes_each_nodes_strongest_edge(seed):
    beta, alpha = random_gates(seed)
    rng = np.random.default_rng(seed)
    kept = [stage & (rng.random(stage.shape) < 0.7) for stage in SPACE.full()]
    for stage in kept:
        stage[:, 0, 0] = True
    kept = architecture.delete_unread(kept)
    expected = [np.zeros_like(stage) for stage in kept]
    for s, node in itertools.chain(
        *([(s, n) for n in range(1, count + 1)] for s, count in enumerate(SPACE.nodes))
    ):
        strongest, where = -1.0, None
        for column in range(min(node, 3)):
            operators = np.flatnonzero(kept[s][node - 1, column]).tolist()
            for op in operators:
                strength = beta[s][node - 1, column] * alpha[s][node - 1, column, op]
                if strength > strongest:
                    strongest, where = strength, (node - 1, column)
        if where:
            expected[s][where] = kept[s][where]
    result = pruning.keep_one(kept, beta, alpha)
    assert same(result, architecture.delete_unread(expected))
    found = architecture.from_kept(SPACE, result, MACRO)
    for stage in found.stages:
        assert len(stage.nodes()) == len(stage.edges) == stage.depth()
