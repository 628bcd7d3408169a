"""What methods decide on the host: masks, pruning, the strength of a penalty."""

import numpy as np
import pytest

from ifnas_jax import config as config_lib
from ifnas_jax.architecture import from_kept
from ifnas_jax.methods import derivations, make_method
from ifnas_jax.methods.interface import Event, Gates
from ifnas_jax.methods.schedule import search_schedule

PRECURSORS = 3


def make(name, **changes):
    config = config_lib.default("mnist5k")
    config.method = name
    config.space.update(num_precursors=PRECURSORS, nodes=(4, 3, 4))
    config.target_madds = 6_000_000
    config.update_from_flattened_dict(changes)
    config_lib.resolve(config, None)
    space = config_lib.space(config)
    return make_method(config, space, config_lib.macro(config)), space, config


def schedule_of(config):
    with config.unlocked():
        config.search.update(batch_size=10, weights_epochs=5.0, beta_epochs=0.0)
        config.search.update(alpha_epochs=5.0, max_epochs=100.0)
    return search_schedule(config, num_examples=100, num_masks=PRECURSORS + 1)


def test_lambda_doubles_its_step_until_enough_is_pruned():
    # The first δ of GOLD-NAS itself.
    method, _, config = make("goldnas", **{"goldnas.delta": 1e-5})
    schedule = schedule_of(config)
    strength = method.strength
    assert (strength.mu, strength.delta) == (0, 1e-5)
    found = []
    for step, removed in enumerate((0, 3, 0, 4, 0, 17, 1, 3), start=200):
        event = Event(step, before=9, after=8, removed=removed)
        strength = method.next_strength(schedule, strength, event)
        found.append(tuple(1e5 * x for x in strength))
    # (λ, δ), in units of 1e-5.
    expected = [
        (2, 2),
        (6, 4),
        (14, 8),
        (7, 1),  # 4 pairs are enough
        (9, 2),
        (4.5, 1),
        (6.5, 2),
        (10.5, 4),
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["goldnas", "ifnas", "darts", "fairdarts", "randomws"])
def test_the_penalty_has_no_strength_before_pruning(name):
    method, _, config = make(name)
    schedule = schedule_of(config)
    strength = method.strength._replace(mu=0.25)
    assert schedule.prune == 100
    for step in (0, 99):
        assert method.mu(schedule, strength, step).tolist() == [0, 0]
    expected = {"goldnas": [0.25, 0], "ifnas": [0.25, 0.25]}.get(name, [0, 0])
    assert method.mu(schedule, strength, 100).tolist() == expected


def test_goldnas_prunes_small_shares_and_a_few_of_the_weakest():
    method, space, _ = make("goldnas")
    kept, share = space.full(), [np.full(k.shape, 0.5) for k in space.full()]
    share[0][2, 1, 0] = 0.0099
    share[2][1, 1, 1] = 0.001
    weak = [(1, 1, 0, 0), (1, 2, 2, 1), (0, 3, 2, 1), (2, 2, 1, 0), (2, 3, 0, 1)]
    for index, (stage, *pair) in enumerate(weak):
        share[stage][tuple(pair)] = 0.011 + 0.001 * index
    share[1][2, 0, 0] = 0.0501
    beta = tuple(stage.sum(axis=2) for stage in share)
    left, removals = method.prune(kept, Gates(beta, tuple(share), tuple(share)))
    gone = [
        (s, *pair)
        for s, (before, after) in enumerate(zip(kept, left, strict=True))
        for pair in np.argwhere(before & ~after).tolist()
    ]
    assert sorted(gone) == sorted([(0, 2, 1, 0), (2, 1, 1, 1), *weak[:4]])
    assert sum(removal.reason == "weakest" for removal in removals) == 4


def test_goldnas_goes_on_until_a_number_of_inputs_is_kept():
    method, space, _ = make("goldnas", derive="keep1")
    kept = space.full()
    rng = np.random.default_rng(0)
    share = tuple(rng.uniform(0, 0.009, stage.shape) for stage in kept)
    left, _ = method.prune(kept, Gates((), share, share))
    for stage in left:
        assert set(stage.any(axis=2).sum(axis=1).tolist()) <= {0, 1}
        assert stage.any()


@pytest.mark.parametrize("derive", ["target", "keep1", "keep2"])
def test_randomws_trains_another_architecture_in_every_step(derive):
    method, space, config = make("randomws", derive=derive)
    macro = config_lib.macro(config)
    again, _, _ = make("randomws", derive=derive)
    other, _, _ = make("randomws", derive=derive, seed=1)
    seen, trained = set(), []
    for loop in range(3):
        loops = [m.masks(space.full(), loop) for m in (method, again, other)]
        ours, same, different = (
            np.concatenate([stage.active.reshape(PRECURSORS + 1, -1) for stage in m], 1)
            for m in loops
        )
        np.testing.assert_array_equal(ours, same)
        assert not np.array_equal(ours, different)
        seen |= {row.tobytes() for row in ours}
        trained += list(ours)
        for step in range(PRECURSORS + 1):
            kept = tuple(stage.active[step] for stage in loops[0])
            madds = from_kept(space, kept, macro).cost().madds
            if derive == "target":
                assert 0.97 * config.target_madds <= madds <= config.target_madds
            else:
                inputs = np.concatenate([k.any(axis=2).sum(axis=1) for k in kept])
                assert inputs.max() == derivations.INPUTS[derive]
    # A space this small has few architectures with one input a node.
    assert len(seen) > 10
    # What is chosen among in the end is drawn apart from what was trained.
    drawn = [np.concatenate([s.ravel() for s in method.draw(i)]) for i in range(12)]
    assert not any(map(np.array_equal, drawn, trained))
    if derive == "target":
        assert not {row.tobytes() for row in drawn} & seen


def test_random_search_draws_by_its_seed():
    draw, space, config = make("random")
    again, _, _ = make("random")
    other, _, _ = make("random", seed=1)
    first = draw.draw(0)
    assert not draw.trains
    assert all(map(np.array_equal, first, again.draw(0)))
    assert not all(map(np.array_equal, first, other.draw(0)))
    assert not all(map(np.array_equal, first, draw.draw(1)))
    madds = from_kept(space, first, config_lib.macro(config)).cost().madds
    assert 0.97 * config.target_madds <= madds <= config.target_madds
