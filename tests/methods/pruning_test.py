import itertools

import numpy as np
import pytest

from ifnas_jax import architecture
from ifnas_jax.architecture import cost, masks
from ifnas_jax.errors import InputError
from ifnas_jax.methods import derivations, pruning
from ifnas_jax.spaces import darts, goldnas, lchain

SPACE = lchain(3, (6, 4, 5))
MACRO = cost.Macro(4, 10, 32, 3, "small")
FIXED = cost.fixed_cost(SPACE, MACRO).madds
SEP = [cost.sep_conv_3x3(*sizes, 1).madds for sizes in ((32, 4), (16, 8), (8, 16))]
FULL = cost.network_cost(SPACE, MACRO, SPACE.full()).madds
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

    def edges(self):
        return len({pair[:3] for pair in self.pairs})

    def left_without(self, pairs):
        other = SlowPruner([])
        other.pairs = self.pairs - pairs
        other.delete_unread()
        return other.edges()

    def turn(self, choice, beta, alpha, threshold):
        """When a choice is made: (gate, rank among equals, own gate)."""
        gate, pairs, _ = choice
        s, src, dst, _ = min(pairs)
        goes = {}
        for _, other, _, _ in self.of_node(s, dst):
            at = dst - 1, dst - other - 1
            ops = [alpha[s][(*at, p[3])] for p in self.of_node(s, dst) if p[1] == other]
            goes[other] = min(beta[s][at], max(ops))
        strongest = max(goes, key=lambda other: (goes[other], other))
        if src == strongest:
            return gate, 2, gate
        if src != max(goes) or goes[src] >= threshold:
            return gate, 0, gate
        others = [goes[other] for other in goes if other not in (src, strongest)]
        return max([gate, *(x for x in others if x < threshold)]), 1, gate

    def threshold(self, beta, alpha, threshold, target, share=1.0):
        least = self.edges() - max(1, int(share * self.edges()))
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
            within = [x for x in choices if self.left_without(x[1]) >= least]
            if not choices or (self.log and not within):
                return
            _, pairs, reason = min(
                within or choices,
                key=lambda choice: self.turn(choice, beta, alpha, threshold),
            )
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
    for stage, src, dst, op, madds, *_ in removals:
        pair = dst - 1, dst - src - 1, SPACE.operators.index(op)
        assert kept[stage - 1][pair]
        kept[stage - 1][pair] = False
        assert type(madds) is int
        assert madds == madds_of(kept)
    assert same(kept, after)
    # Nothing unread is left, and every node that is read has an input.
    assert same(architecture.delete_unread(SPACE.stages, after), after)
    architecture.from_kept(SPACE, after, MACRO)


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("share", [1.0, 0.15])
@pytest.mark.parametrize("target", [0, round(1.2 * CHAIN)])
@pytest.mark.parametrize("seed", range(6))
def test_threshold_pruning_follows_the_rules(seed, target, share):
    beta, alpha = random_gates(seed)
    before = SPACE.full()
    after, removals = pruning.below_threshold(
        SPACE, MACRO, before, beta, alpha, 0.01, target, share
    )
    slow = SlowPruner(before)
    slow.threshold(beta, alpha, 0.01, target, share)
    assert same(before, SPACE.full())
    assert same(after, slow.kept())
    check_account(before, after, removals)
    reasons = [
        (stage - 1, src, dst, SPACE.operators.index(op), reason)
        for stage, src, dst, op, _, reason, _ in removals
    ]
    assert sorted(reasons) == sorted((*pair, reason) for pair, reason in slow.log)
    unprompted = [entry for entry in reasons if entry[4] != "unread"]
    assert unprompted == [
        (*pair, reason) for pair, reason in slow.log if reason != "unread"
    ]
    # Each is told with the gate that it went by.
    for stage, src, dst, op, _, reason, gate in removals:
        where = dst - 1, dst - src - 1
        judged = {
            "edge gate": beta[stage - 1][where],
            "operator gate": alpha[stage - 1][where][SPACE.operators.index(op)],
            "unread": None,
        }[reason]
        assert gate == (None if judged is None else float(f"{judged:.4g}"))
    gone = sum(
        int(x.any(axis=2).sum() - y.any(axis=2).sum())
        for x, y in zip(before, after, strict=True)
    )
    if share < 1:
        # Gates are closed for more than that.
        assert gone <= 0.15 * SPACE.num_edges
        return
    assert gone > 0.15 * SPACE.num_edges
    # What was right once stays right: a second look finds nothing more.
    again, more = pruning.below_threshold(
        SPACE, MACRO, after, beta, alpha, 0.01, target
    )
    assert more == []
    assert same(again, after)


def test_what_would_be_too_much_goes_alone_where_nothing_less_can():
    """A long way beside a connection: with its end three of ten edges go."""
    space = lchain(3, (1, 6, 1))
    kept = [np.zeros_like(stage) for stage in space.full()]
    kept[0][:, 0, 0] = kept[2][:, 0, 0] = True
    for src, dst in ((0, 1), (1, 2), (2, 3), (0, 3), (3, 4), (4, 5), (3, 6), (5, 6)):
        kept[1][dst - 1, dst - src - 1, 0] = True
    beta = [np.ones(stage.shape[:2]) for stage in kept]
    alpha = [np.ones(stage.shape) for stage in kept]
    beta[1][2, 0] = 0.001  # 2 -> 3, without which 1 and 2 are unread
    arguments = space, MACRO, kept, beta, alpha, 0.01, 0, 0.15
    after, removals = pruning.below_threshold(*arguments)
    assert sorted(own[1:3] for own in removals) == [(0, 1), (1, 2), (2, 3)]
    # Where one that is less is closed too, though less so, it goes first.
    beta[1][5, 0] = 0.002  # 5 -> 6 leaves 4 and 5 unread, also three edges
    kept[1][4, 1, 0] = True  # 3 -> 5
    beta[1][4, 1] = 0.003
    after, removals = pruning.below_threshold(*arguments)
    assert [own[1:3] for own in removals] == [(3, 5)]
    assert not after[1][4, 1].any()


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


def test_a_closed_edge_goes_before_the_backbone_whose_place_it_would_take():
    """Node 6 listens to 3, and of its edges from 4 and 5 the latter closed first."""
    beta = [np.ones(stage.shape[:2]) for stage in SPACE.full()]
    alpha = [np.ones(stage.shape) for stage in SPACE.full()]
    beta[0][5] = 0.002, 0.008, 0.97
    arguments = SPACE, MACRO, SPACE.full(), beta, alpha, 0.01
    one = FULL - SEP[0]
    after, removals = pruning.below_threshold(*arguments, one)
    assert {own[:3] for own in removals} == {(1, 4, 6)}
    after, removals = pruning.below_threshold(*arguments, one - 1)
    assert {own[1:3] for own in removals if own.gate} == {(4, 6), (5, 6)}
    assert masks.backbone(after[0])[5, 2].all()
    # Without an edge that is open the strongest is what it keeps, as everywhere.
    beta[0][5] = 0.002, 0.008, 0.009
    assert same(after, pruning.below_threshold(*arguments, 0)[0])
    # What it keeps is the strongest, not the nearest of what is closed; of equals the
    # nearest. An edge may close with its operators, too.
    for gates in (0.002, 0.004, 0.003), (0.002, 0.008, 0.008):
        beta[0][5] = gates
        after, removals = pruning.below_threshold(*arguments, 0)
        assert [own[1:3] for own in removals if own.gate][::2] == [(3, 6), (5, 6)]
    beta[0][5], alpha[0][5, 2] = (0.004, 0.006, 0.97), (0.001, 0.002)
    after, removals = pruning.below_threshold(*arguments, 0)
    assert after[0][5].any(axis=1).tolist() == [False, True, False]


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
    after, removals = derivations.to_target(SPACE, MACRO, before, strength, target)
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
        derivations.to_target(space, MACRO, space.full(), space.full(), 1_000)


@pytest.mark.parametrize("precursors", [1, 3])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_target_under_the_chain_is_met_when_convolutions_are_strongest(
    precursors, share
):
    space = lchain(precursors, (6, 4, 5))
    strength = [np.where([True, False], 0.9, 0.1) * stage for stage in space.full()]
    target = FIXED + round(share * (CHAIN - FIXED))
    after, _ = derivations.to_target(space, MACRO, space.full(), strength, target)
    assert madds_of(after) <= target
    # Gradual pruning leaves it within reach too.
    beta = [np.full(stage.shape[:2], 0.5) for stage in space.full()]
    alpha = [np.where([True, False], 0.9, 0.001) * s for s in space.full()]
    left, _ = pruning.below_threshold(
        space, MACRO, space.full(), beta, alpha, 0.01, target
    )
    after, _ = derivations.to_target(space, MACRO, left, strength, target)
    assert madds_of(after) <= target


@pytest.mark.parametrize("seed", range(5))
def test_keep_one_takes_each_nodes_strongest_edge(seed):
    beta, alpha = random_gates(seed)
    rng = np.random.default_rng(seed)
    kept = [stage & (rng.random(stage.shape) < 0.7) for stage in SPACE.full()]
    for stage in kept:
        stage[:, 0, 0] = True
    kept = architecture.delete_unread(SPACE.stages, kept)
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
    strength = [b[:, :, None] * a for b, a in zip(beta, alpha, strict=True)]
    result = derivations.keep_strongest(SPACE, kept, strength, inputs=1)
    assert same(result, architecture.delete_unread(SPACE.stages, expected))
    found = architecture.from_kept(SPACE, result, MACRO)
    for stage in found.stages:
        assert len(stage.nodes()) == len(stage.edges) == stage.depth()


DARTS, GOLDNAS = darts(3, 4), goldnas(3, 3, 4)
CELLS = cost.Macro(4, 10, 32, 3, "small", cells=3)


def random_strength(space, seed):
    rng = np.random.default_rng(seed)
    return [rng.random(stage.shape) for stage in space.full()]


def without(kept, stage, *pair):
    kept = [array.copy() for array in kept]
    kept[stage][pair] = False
    return kept


def test_all_gates_closed_leaves_each_node_of_a_cell_its_strongest_pair():
    strength = random_strength(DARTS, 0)
    beta = [0.01 * array.max(axis=2) for array in strength]
    alpha = [0.01 * array for array in strength]
    after, removals = pruning.below_threshold(
        DARTS, CELLS, DARTS.full(), beta, alpha, 0.01
    )
    for array, full, values in zip(after, DARTS.full(), strength, strict=True):
        values = np.where(full, values, -1).reshape(3, -1)
        assert array.reshape(3, -1).sum(axis=1).tolist() == [1, 1, 1]
        assert np.array_equal(
            array.reshape(3, -1).argmax(axis=1), values.argmax(axis=1)
        )
    # Nodes that no other node reads are outputs all the same.
    assert {removal.reason for removal in removals} <= {"edge gate", "operator gate"}
    assert removals[-1].madds == cost.network_cost(DARTS, CELLS, after).madds


def cheapest_cells(space, kept):
    """MAdds of the network in which each node has its cheapest pair alone."""
    least = []
    for array, costs in zip(kept, cost.pair_costs(space, CELLS), strict=True):
        prices = np.where(array, costs.madds, np.inf).reshape(len(array), -1)
        one = np.zeros(prices.shape, bool)
        one[np.arange(len(one)), prices.argmin(axis=1)] = True
        least.append(one.reshape(array.shape))
    return cost.network_cost(space, CELLS, least).madds


@pytest.mark.parametrize("space", [DARTS, GOLDNAS], ids=["darts", "goldnas"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_to_target_in_cells_meets_all_that_can_be_met(space, share, seed):
    kept, strength = space.full(), random_strength(space, seed)
    full, least = (
        cost.network_cost(space, CELLS, kept).madds,
        cheapest_cells(space, kept),
    )
    target = round(least + share * (full - least))
    after, removals = derivations.to_target(space, CELLS, kept, strength, target)
    order = sorted(
        (strength[s][tuple(pair)], s, *pair)
        for s, array in enumerate(kept)
        for pair in np.argwhere(array).tolist()
    )
    slow = kept
    for _, stage, *pair in order:
        if cost.network_cost(space, CELLS, slow).madds <= target:
            break
        fewer = without(slow, stage, *pair)
        if fewer[stage][pair[0]].any() and cheapest_cells(space, fewer) <= target:
            slow = fewer
    assert same(after, slow)
    madds = cost.network_cost(space, CELLS, after).madds
    assert removals[-1].madds == madds <= target
    assert {removal.reason for removal in removals} == {"weakest"}


def test_to_target_refuses_less_than_the_cheapest_cells():
    kept = GOLDNAS.full()
    target = cheapest_cells(GOLDNAS, kept) - 1
    with pytest.raises(InputError, match=f"target_madds is {target:,}, but"):
        derivations.to_target(GOLDNAS, CELLS, kept, random_strength(GOLDNAS, 0), target)


@pytest.mark.parametrize("seed", range(4))
def test_keep_two_takes_each_nodes_two_strongest_edges_and_their_best_operator(seed):
    rng = np.random.default_rng(seed)
    kept = [array & (rng.random(array.shape) < 0.8) for array in DARTS.full()]
    for array in kept:
        array[:, 0, 0] = True
    strength = random_strength(DARTS, seed)
    expected = [np.zeros_like(array) for array in kept]
    for s, array in enumerate(kept):
        for row in range(3):
            best = {}
            for column, op in np.argwhere(array[row]).tolist():
                value = strength[s][row, column, op]
                best[column] = max(best.get(column, (-1, 0)), (value, op))
            for column in sorted(best, key=best.get)[-2:]:
                expected[s][row, column, best[column][1]] = True
    result = derivations.keep_strongest(DARTS, kept, strength, inputs=2)
    assert same(result, expected)
    assert {int(array[row].sum()) for array in result for row in range(3)} <= {1, 2}


def slow_small_shares(kept, strength, target, share, weakest, weak_share, inputs):
    """First all small shares, the smallest first; then some more, one at a time."""
    gone = []

    def attempt(stage, pair):
        """Whether the pair could go."""
        nonlocal kept
        if not kept[stage][pair]:
            return False
        fewer = without(kept, stage, *pair)
        before, after = (x[stage][pair[0]].any(axis=1).sum() for x in (kept, fewer))
        if after < min(before, inputs):
            return False
        kept = architecture.delete_unread(SPACE.stages, fewer)
        gone.append((stage, *pair))
        return True

    def pairs_under(limit):
        return sorted(
            (strength[s][tuple(pair)], s, tuple(pair))
            for s, array in enumerate(kept)
            for pair in np.argwhere(array).tolist()
            if strength[s][tuple(pair)] < limit
        )

    def met():
        return cost.network_cost(SPACE, MACRO, kept).madds <= target

    for _, stage, pair in pairs_under(share):
        if not met():
            attempt(stage, pair)
    more = 0
    for value, stage, pair in pairs_under(weak_share):
        if not met() and value >= share and more < weakest:
            more += attempt(stage, pair)
    return kept, gone, more


@pytest.mark.parametrize("inputs", [1, 2])
@pytest.mark.parametrize(
    ("target", "share", "weak_share", "all_the_weakest"),
    [
        (0, 0.3, 0.9, True),
        (0, 0.0, 0.1, False),  # too few are that weak
        (round(1.4 * CHAIN), 0.3, 0.9, False),  # the target is met on the way
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_small_shares_go_and_some_of_the_weakest(
    seed, target, share, weak_share, all_the_weakest, inputs
):
    before, strength = SPACE.full(), random_strength(SPACE, seed)
    after, removals = pruning.small_shares(
        SPACE,
        MACRO,
        before,
        strength,
        target=target,
        share=share,
        weakest=20,
        weak_share=weak_share,
        inputs=inputs,
    )
    slow, gone, more = slow_small_shares(
        before, strength, target, share, 20, weak_share, inputs
    )
    assert same(after, slow)
    assert same(before, SPACE.full())
    check_account(before, after, removals)
    prompted = [removal for removal in removals if removal.reason != "unread"]
    assert gone == [
        (r.stage - 1, r.dst - 1, r.dst - r.src - 1, SPACE.operators.index(r.op))
        for r in prompted
    ]
    assert sum(removal.reason == "weakest" for removal in prompted) == more
    assert (more == 20) == all_the_weakest
    assert (removals[-1].madds <= target) == (target > 0)
