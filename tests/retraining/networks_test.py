"""Many networks side by side: each is what retraining it alone would make."""

import jax
import numpy as np
import pytest
import small_search
from networks import named_params, random_architecture

from ifnas_jax import config as config_lib
from ifnas_jax import train_networks, training
from ifnas_jax.architecture.cost import Macro
from ifnas_jax.errors import InputError
from ifnas_jax.retraining import masked_step, networks
from ifnas_jax.retraining import step as step_lib
from ifnas_jax.runtime import distributed
from ifnas_jax.spaces import lchain

CLASSES, BATCH = 3, 8
SPACE = lchain(2, (2, 1, 1))
MACRO = Macro(4, CLASSES, 8, 1, "small")

pytestmark = pytest.mark.usefixtures("compiles_soon")


def make_config(**changes):
    config = config_lib.default("mnist5k")
    config.dataset.update(image_size=8, num_classes=CLASSES, padding=0)
    config.retrain.update(batch_size=BATCH, epochs=4, warmup_epochs=1, final_epochs=1)
    config.update_from_flattened_dict(changes)
    return config


def make_dataset():
    return small_search.make_dataset(8, (32, 8, 24))


def make_networks(count):
    """Different ones of one space."""
    found = [random_architecture(seed, MACRO, SPACE) for seed in range(20)]
    distinct = {str(one.to_json()): one for one in found}
    return list(distinct.values())[:count]


@pytest.fixture(scope="module")
def alone(compiles_soon):
    """The rows of three networks, trained one after the other, compiled once."""
    compiled, compile_step = [], training.compile_step

    def counting(step, *arguments, **options):
        compiled.append(step.__name__)
        return compile_step(step, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "compile_step", counting)
        rows = train_networks(
            make_networks(3),
            make_dataset(),
            make_config(),
            seeds=[0, 1, 2],
            test_epochs=[2],
        )
    assert compiled == ["train_step", "test_step"]
    return rows


def test_each_is_tested_when_asked(alone):
    for rows in alone:
        assert [row["epoch"] for row in rows] == [2, 4]
        for row in rows:
            assert 0 <= row["top1"] <= row["top5"] == 1
            assert 0 <= row["accuracy"] <= 1
    assert len({rows[-1]["loss"] for rows in alone}) == 3
    # They learn: the first rows of a network are worse than the last.
    assert all(rows[1]["loss"] < rows[0]["loss"] for rows in alone)


def test_side_by_side_they_are_what_they_are_alone(alone):
    """In groups of which the last one is not full; node by node."""
    config = make_config(**{"search.skipping": "nodes"})
    found = train_networks(
        make_networks(3),
        make_dataset(),
        config,
        seeds=[0, 1, 2],
        test_epochs=[2],
        lanes=2,
    )
    for ours, theirs in zip(found, alone, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert one["loss"] == pytest.approx(other["loss"], rel=5e-3)
            assert one["epoch"] == other["epoch"]


def test_a_step_is_that_of_retraining():
    """The same loss of the same weights, and the same weights after two steps."""
    (architecture,) = make_networks(1)
    config = make_config(**{"retrain.auxiliary_weight": 0.0})
    group = networks._group([architecture], make_dataset(), config, None)
    state = masked_step.initial_state(group, architecture, 0)
    network = step_lib.make_network(config, architecture)
    optimizer = step_lib.make_optimizer(config, group.epoch)
    named = named_params(group.net, state.params, architecture)
    theirs = step_lib.initial_state(config, network, optimizer)
    theirs = theirs._replace(params=named, optimizer=optimizer.init(named))
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, BATCH, 8, 8, 1)).astype(np.float32)
    batches = [
        distributed.shard({"image": image, "label": np.arange(BATCH) % CLASSES})
        for image in images
    ]
    ours = state
    step, _ = training.compile_step(masked_step.make_step(group), (ours, batches[0]))
    other = step_lib.make_step(config, network, optimizer)
    other, _ = training.compile_step(other, (theirs, batches[0]))
    for batch in batches:
        ours, own = step(ours, batch)
        theirs, expected = other(theirs, batch)
        for key, value in expected.items():
            np.testing.assert_allclose(own[key], value, rtol=1e-4)
    found = named_params(group.net, ours.params, architecture)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4),
        found,
        theirs.params,
    )


def test_what_does_not_fit_is_refused():
    config, dataset = make_config(), make_dataset()
    (one,) = make_networks(1)
    with pytest.raises(InputError, match="architectures is empty"):
        train_networks([], dataset, config)
    with pytest.raises(InputError, match="differ in their space or sizes"):
        train_networks([one, one.with_macro(width=6)], dataset, config)
    with pytest.raises(InputError, match="seeds has 1 entries for 2 architectures"):
        train_networks([one, one], dataset, config, seeds=[0])
    with pytest.raises(InputError, match="lanes is 0"):
        train_networks([one], dataset, config, lanes=0)
    with pytest.raises(InputError, match="have 5 classes, but the data has 3"):
        train_networks([one.with_macro(num_classes=5)], dataset, config)
    with pytest.raises(InputError, match=r"test_epochs is \[5\], .* epochs 1 to 4"):
        train_networks([one], dataset, config, test_epochs=[5])


def test_one_that_diverges_has_no_rows_from_there_on(alone, monkeypatch):
    """Beside another one, which goes on, and alone."""
    initial_state = networks.initial_state

    def spoiled(group, architecture, seed):
        state = initial_state(group, architecture, seed)
        if seed == 1:
            jax.tree.leaves(state.params)[0].fill(np.nan)
        return state

    monkeypatch.setattr(networks, "initial_state", spoiled)
    config = make_config(**{"search.skipping": "nodes"})
    options = {"seeds": [0, 1], "test_epochs": [2]}
    found = train_networks(make_networks(2), make_dataset(), config, lanes=2, **options)
    assert found[1] == []
    assert [row["epoch"] for row in found[0]] == [2, 4]
    assert found[0][0]["loss"] == pytest.approx(alone[0][0]["loss"], rel=5e-3)
    in_turn = train_networks(make_networks(2), make_dataset(), make_config(), **options)
    assert in_turn == [alone[0], []]
