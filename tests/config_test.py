import json
import pathlib

import pytest

from ifnas_jax import config as config_lib
from ifnas_jax import cost
from ifnas_jax.errors import InputError
from ifnas_jax.flags import load_config
from ifnas_jax.validation import validate

CONFIGS = pathlib.Path(__file__).parents[1] / "configs"
PRESETS = ("imagenet2012", "imagenet100", "cifar10", "fashion_mnist", "mnist5k")


def preset(precursors, dataset):
    return load_config(f"{CONFIGS / f'lchain{precursors}.py'}:{dataset}")


def chain_madds(config):
    sizes, space = config_lib.macro(config), config_lib.space(config)
    stages = cost.operator_costs(sizes, ("sep_conv_3x3",))
    return cost.fixed_cost(sizes).madds + sum(
        nodes * stage[0].madds for nodes, stage in zip(space.nodes, stages, strict=True)
    )


@pytest.mark.parametrize("dataset", (*PRESETS, "svhn_cropped"))
@pytest.mark.parametrize("precursors", [1, 4, 6, 8])
def test_every_preset_is_valid_and_checking_changes_nothing(precursors, dataset):
    config = preset(precursors, dataset)
    before = config_lib.to_json(config)
    validate(config)
    assert config_lib.to_json(config) == before
    assert config.space.num_precursors == precursors
    assert config.dataset.name == dataset


@pytest.mark.parametrize("precursors", [4, 6, 8])
@pytest.mark.parametrize("dataset", PRESETS)
def test_targets_are_near_the_plain_chain(precursors, dataset):
    config = preset(precursors, dataset)
    assert 1 <= config.target_madds / chain_madds(config) <= 1.15


def test_the_newcomers_run_is_no_toy():
    config = preset(4, "mnist5k")
    assert min(config.space.nodes) >= 6
    assert not config.dataset.flip
    epoch = 4000 * (1 - config.dataset.valid_fraction) // config.search.batch_size
    steps = (config.search.max_epochs - config.search.weights_epochs) * epoch
    assert steps / (config.sampling.period * 5) >= 8


def test_the_papers_settings():
    config = preset(4, "imagenet2012")
    search, retrain = config.search, config.retrain
    assert config.target_madds == 600_000_000
    assert (config.macro.width, config.macro.search_width) == (64, 16)
    assert config.space.nodes == (18, 20, 18)
    assert (search.batch_size, search.learning_rate, search.momentum) == (256, 0.1, 0.9)
    assert (search.weight_decay, search.clip, search.threshold) == (3e-5, 5.0, 0.01)
    assert (search.arch_learning_rate, search.arch_momentum) == (0.1, 0.9)
    assert (search.weights_epochs, search.beta_epochs, search.max_epochs) == (
        *(20.0, 10.0, 100.0),
    )
    assert (config.sampling.period, config.sampling.loop_warmup) == (100, True)
    assert (retrain.batch_size, retrain.epochs, retrain.learning_rate) == (
        *(1024, 250, 0.5),
    )
    assert (retrain.label_smoothing, retrain.auxiliary_weight) == (0.1, 0.4)
    assert preset(4, "imagenet100").retrain.epochs == 100


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("method", "nas"),
        ("derive", "best"),
        ("dtype", "float16"),
        ("jobs", ("search", "test")),
        ("seed", -1),
        ("target_madds", 1),
        ("target_madds", 10**12),
        ("log_every", 0),
        ("space.num_precursors", 0),
        ("space.nodes", (6, 6)),
        ("space.nodes", (6, 6, 0)),
        ("space.nodes", (6, 6, 6.5)),
        ("space.nodes", (6, 6, "6")),
        ("space.operators", ("sep_conv_3x3", "max_pool_3x3")),
        ("macro.width", 0),
        ("macro.search_width", 0),
        ("macro.stem", "large"),
        ("dataset.image_size", 30),
        ("dataset.channels", 0),
        ("dataset.num_classes", -1),
        ("dataset.valid_fraction", 0.0),
        ("dataset.valid_fraction", 1.0),
        ("dataset.crop", "centre"),
        ("dataset.padding", -1),
        ("sampling.period", 0),
        ("sampling.modulus", -1),
        ("sampling.interleaved", -1),
        ("relaxation.node_scale", "none"),
        ("search.batch_size", 0),
        ("search.weights_epochs", -1.0),
        ("search.beta_epochs", float("nan")),
        ("search.alpha_epochs", -1.0),
        ("search.learning_rate", -0.1),
        ("search.threshold", 0.5),
        ("search.threshold", -0.1),
        ("search.valid_every", -1),
        ("search.checkpoint_every", 0),
        ("penalty.schedule", "constant"),
        ("penalty.delta", -1.0),
        ("penalty.prune_epochs", -1.0),
        ("retrain.batch_size", 0),
        ("retrain.epochs", 0),
        ("retrain.warmup_epochs", -1),
        ("retrain.final_epochs", -1),
        ("retrain.test_every", 0),
        ("retrain.checkpoint_every", 0),
    ],
)
def test_a_bad_field_is_refused_in_one_sentence_that_names_it(field, value):
    config = config_lib.default("mnist5k").unlock()
    *groups, name = field.split(".")
    held = config[groups[0]] if groups else config
    with held.ignore_type():
        held[name] = value
    with pytest.raises(InputError) as caught:
        validate(config)
    message = str(caught.value)
    assert name.removesuffix("s") in message
    assert message.endswith(".")
    assert "\n" not in message
    # The name, with its group, is what `--config.` takes.
    other = {"dataset": "macro", "macro": "dataset"}
    assert not groups or f"{other.get(groups[0])}.{name}" not in message


def test_an_auxiliary_head_that_does_not_fit_is_refused_before_the_search():
    config = config_lib.default("cifar10")
    config.dataset.image_size = 64
    config.target_madds *= 4
    with pytest.raises(InputError, match="auxiliary_weight"):
        validate(config)
    config.retrain.auxiliary_weight = 0.0
    validate(config)


def test_an_unknown_field_can_not_be_set():
    with pytest.raises((KeyError, AttributeError)):
        config_lib.default("mnist5k").search.batchsize = 3


@pytest.mark.parametrize("precursors", [1, 4])
def test_the_target_may_be_anything_between_fixed_parts_and_super_network(precursors):
    config = preset(precursors, "mnist5k")
    sizes, space = config_lib.macro(config), config_lib.space(config)
    fixed = cost.fixed_cost(sizes).madds
    full = cost.network_cost(sizes, space.operators, space.full()).madds
    for target, valid in [(fixed, 0), (fixed + 1, 1), (full - 1, 1), (full, 0)]:
        config.target_madds = target
        if valid:
            validate(config)
        else:
            with pytest.raises(InputError, match=f"target_madds is {target:,}"):
                validate(config)
    config.derive = "keep1"  # has no target
    validate(config)


def test_a_network_without_a_class_count_has_no_price():
    config = config_lib.default("svhn_cropped")
    with pytest.raises(InputError, match=r"dataset\.num_classes is 0"):
        config_lib.macro(config)


@pytest.mark.parametrize("dataset", PRESETS)
def test_a_stored_config_equals_its_own(dataset):
    config = config_lib.default(dataset)
    assert config_lib.differences(config, json.loads(config_lib.to_json(config))) == []


def test_differences_name_each_field_with_both_values():
    config = config_lib.default("mnist5k")
    stored = json.loads(config_lib.to_json(config))
    stored["search"]["batch_size"] = 64
    stored["space"]["nodes"] = [7, 6, 6]
    del stored["seed"]
    stored["retired"] = "x"
    assert config_lib.differences(config, stored) == [
        "retired (stored 'x', now None)",
        "search.batch_size (stored 64, now 32)",
        "seed (stored None, now 0)",
        "space.nodes (stored [7, 6, 6], now [6, 6, 6])",
    ]


@pytest.mark.parametrize("stored", [[], 3, "x", {"dataset": 3}, {}])
def test_a_stored_config_of_another_shape_differs(stored):
    assert config_lib.differences(config_lib.default("mnist5k"), stored)
