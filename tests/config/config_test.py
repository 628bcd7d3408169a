import json
import re

import pytest
from documented import ROOT

from ifnas_jax import config as config_lib
from ifnas_jax import main
from ifnas_jax.architecture import cost
from ifnas_jax.config.command_line import load_config
from ifnas_jax.config.validation import check_overrides, validate
from ifnas_jax.errors import InputError
from ifnas_jax.methods import METHODS, readers
from ifnas_jax.run import begin

CONFIGS = ROOT / "configs"
PRESETS = ("imagenet2012", "imagenet100", "cifar10", "fashion_mnist", "mnist5k")


def preset(precursors, dataset):
    return load_config(f"{CONFIGS / f'lchain{precursors}.py'}:{dataset}")


def chain_madds(config):
    sizes, space = config_lib.macro(config), config_lib.space(config)
    return cost.fixed_cost(space, sizes).madds + sum(
        nodes * cost.sep_conv_3x3(size, width, stride=1).madds
        for nodes, size, width in zip(
            space.nodes, sizes.sizes, sizes.widths, strict=True
        )
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


@pytest.mark.parametrize("dataset", (*PRESETS, "svhn_cropped"))
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["darts", "goldnas"])
def test_every_preset_of_cells_is_valid_with_every_method(name, method, dataset):
    config = load_config(f"{CONFIGS / name}_space.py:{dataset}")
    assert (config.space.name, config.dataset.name) == (name, dataset)
    config.method = method
    before = config_lib.to_json(config)
    validate(config)
    assert config_lib.to_json(config) == before
    expected = "keep2" if name == "darts" else METHODS[method].derivations[0]
    config_lib.resolve(config, None)
    assert (config.derive, config.sampling.modulus) == (expected, 4)
    validate(config)


def test_the_networks_of_cells_are_those_of_their_papers():
    found = {}
    for name in ("darts", "goldnas"):
        for dataset in ("imagenet2012", "cifar10"):
            config = load_config(f"{CONFIGS / name}_space.py:{dataset}")
            search, final = config_lib.search_macro(config), config_lib.macro(config)
            assert search.image_size == final.image_size
            sizes = search.cells, search.width, final.cells, final.width
            found[name, dataset] = sizes
    assert found == {
        ("darts", "imagenet2012"): (8, 16, 14, 48),
        ("darts", "cifar10"): (8, 16, 20, 36),
        ("goldnas", "imagenet2012"): (14, 16, 14, 48),
        ("goldnas", "cifar10"): (14, 16, 14, 36),
    }


@pytest.mark.parametrize(
    ("space", "method", "precursors", "derive", "modulus"),
    [
        ("lchain4", "ifnas", 4, "prune", 4),
        ("lchain8", "darts", 6, "target", 6),
        # Of fewer nodes than precursors.
        ("lchain8", "random", 10, "target", 9),
    ],
)
def test_what_stands_for_a_value_is_resolved(
    space, method, precursors, derive, modulus
):
    config = load_config(f"{CONFIGS / space}.py:mnist5k")
    config.method, config.space.num_precursors = method, precursors
    config_lib.resolve(config, None)
    assert (config.derive, config.sampling.modulus) == (derive, modulus)
    config.derive, config.sampling.modulus = "keep1", 3
    config_lib.resolve(config, None)
    assert (config.derive, config.sampling.modulus) == ("keep1", 3)


def test_classes_that_were_drawn_are_those_of_the_run_that_goes_on():
    stored = load_config(f"{CONFIGS / 'lchain4'}.py:imagenet100")
    config_lib.resolve(stored, None)
    stored.dataset.classes, stored.dtype = ("n01443537", "n01537544"), "float32"
    stored = json.loads(config_lib.to_json(stored))

    config = load_config(f"{CONFIGS / 'lchain4'}.py:imagenet100")
    config_lib.resolve(config, stored)
    assert config.dataset.classes == ("n01443537", "n01537544")
    assert not config_lib.differences(config, stored)

    # A run that an unreadable image has stopped goes on, told to skip it.
    config.dataset.on_unreadable = "skip"
    begin._check_same(config, stored, "runs/first")

    other = load_config(f"{CONFIGS / 'lchain4'}.py:imagenet100")
    other.dataset.classes = ("n01537544", "n01443537")
    config_lib.resolve(other, stored)
    (difference,) = config_lib.differences(other, stored)
    assert difference.startswith("dataset.classes (stored ['n01443537', 'n01537544']")
    with pytest.raises(InputError, match=r"another config: dataset\.classes"):
        begin._check_same(other, stored, "runs/first")


@pytest.mark.parametrize(
    "classes", ["3,z\u00e9bu", "('3','ze\u0301bu')", "(3,'z\u00e9bu')"]
)
def test_classes_are_the_same_however_they_are_spelled(classes):
    def resolved(text, stored=None):
        override = f"--config.dataset.classes={text}"
        config = load_config(f"{CONFIGS / 'lchain4'}.py:mnist5k", [override])
        config_lib.resolve(config, stored)
        config.dtype = "float32"
        return config

    stored = json.loads(config_lib.to_json(resolved("3,ze\u0301bu")))
    assert stored["dataset"]["classes"] == ["3", "z\u00e9bu"]
    assert not config_lib.differences(resolved(classes, stored), stored)
    assert config_lib.differences(resolved("z\u00e9bu,3", stored), stored)


REFUSED = [
    (
        "lchain4",
        {"method": "darts", "derive": "prune"},
        "derive is 'prune', .*'target'",
    ),
    (
        "lchain4",
        {"method": "goldnas", "derive": "target"},
        "derive is 'target', .*prune",
    ),
    ("darts_space", {"derive": "target"}, "derive is 'target', .* set it to 'keep2'"),
    ("darts_space", {"derive": "keep1"}, "derive is 'keep1', .* set it to 'keep2'"),
    (
        "lchain4",
        {"derive": "keep1", "penalty.schedule": "adaptive"},
        "penalty.schedule is 'adaptive', .* use 'paced'",
    ),
    ("goldnas_space", {"macro.cells": 4}, "macro.cells is 4, .* set it .*, 3"),
    (
        "darts_space",
        {"macro.search_cells": 2},
        "macro.search_cells, .* 2 cells.*set it",
    ),
    ("goldnas_space", {"macro.cells": 0}, "macro.cells, .* 0 cells.*set it"),
    ("lchain4", {"macro.cells": 8}, "macro.cells is 8, .* no cells; set it to 0"),
    ("lchain4", {"macro.search_cells": 8}, "macro.search_cells is 8, .* set it to 0"),
    ("darts_space", {"macro.width": 15}, "width is 15, .* set an even number"),
    (
        "darts_space",
        {"macro.search_width": 7},
        "macro.search_width is 7, .* even number",
    ),
    ("darts_space", {"space.nodes": (4, 4)}, r"space.nodes is \(4, 4\), .* give one"),
    ("darts_space", {"space.num_precursors": 6}, "space.num_precursors is 6, .* to 5"),
    (
        "lchain4",
        {"method": "pcdarts", "pcdarts.parts": 3},
        "pcdarts.parts is 3, .* set one to fit",
    ),
    (
        "lchain4",
        {"method": "dnas", "sampling.interleaved": 1},
        "sampling.interleaved is 1, .* set it to 0, or method to 'ifnas'",
    ),
    (
        "goldnas_space",
        {"method": "goldnas", "sampling.groups": "random"},
        "sampling.groups is 'random', .* set it to 'modulo', or method to 'ifnas'",
    ),
    (
        "lchain4",
        {"sampling.groups": "matched", "sampling.interleaved": 2},
        "sampling.interleaved is 2, .* set it to 0",
    ),
    (
        "lchain4",
        {"sampling.interleaved_learn": False},
        "sampling.interleaved_learn is False, but sampling.interleaved is 0",
    ),
    (
        "lchain4",
        {"method": "dnas", "sampling.interleaved_learn": False},
        "sampling.interleaved_learn is False, .* or method to 'ifnas'",
    ),
    (
        "darts_space",
        {"dataset.image_size": 40},
        "auxiliary_weight is 0.4, .* set it to 0",
    ),
    ("goldnas_space", {"target_madds": 100}, "target_madds is 100, .* between them"),
    # More than the fixed parts have, less than any network.
    (
        "goldnas_space",
        {"target_madds": 7_000_000},
        "target_madds is 7,000,000, .*set a",
    ),
    (
        "goldnas_space",
        {"sampling.groups": "random"},
        "sampling.groups is 'random', .* set it to 'modulo'",
    ),
    (
        "lchain1",
        {"sampling.groups": "random"},
        "sampling.groups is 'random', .* set it to 'modulo'",
    ),
    ("lchain1", {"sampling.interleaved": 2}, "sampling.interleaved is 2, .* to 0"),
    ("lchain4", {"lanes": "in_turn"}, "lanes is 'in_turn', .* set it to 'auto'"),
    (
        "lchain4",
        {"seed": 2**32 - 4, "seeds": 5},
        "seeds is 5, .* 4294967296, .* set seed lower",
    ),
    (
        "lchain4",
        {"method": "randomws", "sampling.warmup_sampling": False},
        "sampling.warmup_sampling is False, .* set it to True",
    ),
    (
        "lchain4",
        {"method": "dnas", "sampling.loop_warmup": False},
        "sampling.loop_warmup is False, .* set it to True, or method to 'ifnas'",
    ),
    ("lchain4", {"space.operators": ("pool",)}, "operator 'pool' is unknown; choose"),
]


@pytest.mark.parametrize(("name", "changes", "message"), REFUSED)
def test_what_does_not_go_together_is_refused_with_the_mend(name, changes, message):
    config = load_config(f"{CONFIGS / name}.py:mnist5k")
    validate(config)
    with config.ignore_type():
        config.update_from_flattened_dict(changes)
    with pytest.raises(InputError, match=message) as caught:
        validate(config)
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text
    assert not re.search(r"[.] [A-Z]", text)


UNREAD = [
    ("fairdarts", "darts.order", 2, "'darts'"),
    ("random", "darts.order", 2, "'darts'"),
    ("goldnas", "penalty.schedule", "linear", "'ifnas' or 'dnas'"),
    ("ifnas", "pcdarts.parts", 2, "'pcdarts'"),
    ("dnas", "goldnas.weakest", 4, "'goldnas'"),
    ("ifnas", "bilevel.b1", 0.9, "'darts' or 'pcdarts' or 'fairdarts'"),
    ("random", "random.candidates", 7, "'randomws'"),
    ("darts", "search.threshold", 0.1, "'ifnas' or 'dnas'"),
    ("pcdarts", "search.arch_momentum", 0.5, "'ifnas' or 'dnas' or 'goldnas'"),
]


@pytest.mark.parametrize(("method", "field", "value", "others"), UNREAD)
def test_a_field_of_another_method_is_refused(method, field, value, others):
    # Its file sets two fields, for methods that read them.
    path = f"{CONFIGS / 'lchain8'}.py:cifar10"
    given = load_config(path)
    assert (given.goldnas.weakest, given.penalty.prune_epochs) == (20, 20.0)
    default = config_lib.flat(given)[field]
    for own in (method, *others.replace("'", "").split(" or ")):
        setting = f"--config.{field}={value}"
        config = load_config(path, [f"--config.method={own}", setting])
        if own == method:
            message = (
                f"{field} is {value!r}, but method {method!r} does not read it; "
                f"set it to {default!r}, or method to {others}."
            )
            with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
                check_overrides(config, given)
        else:
            check_overrides(config, given)
    same = [f"--config.method={method}", f"--config.{field}={default}"]
    check_overrides(load_config(path, same), given)


def test_the_command_line_refuses_a_field_of_another_method(tmp_path, capsys):
    flags = [
        f"--config={CONFIGS / 'lchain4'}.py:mnist5k",
        f"--workdir={tmp_path / 'x'}",
    ]
    fields = ["--config.method=fairdarts", "--config.darts.order=2"]
    assert main.main([*flags, *fields]) == 2
    assert "darts.order is 2, but method 'fairdarts'" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_every_method_says_what_it_reads():
    names = config_lib.flat(config_lib.default("mnist5k"))
    known = {*names, *(name.split(".")[0] for name in names)}
    assert set().union(*(own.reads for own in METHODS.values())) <= known
    assert readers("search.batch_size") == tuple(METHODS)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pcdarts.parts", 0),
        ("random.candidates", 0),
        ("random.band", -0.1),
        ("random.band", 1.1),
        ("darts.order", 3),
        ("sampling.groups", "modulus"),
        ("bilevel.b1", 1.0),
        ("bilevel.learning_rate", -1.0),
        ("goldnas.share", -0.1),
        ("goldnas.weakest", -1),
        ("macro.search_cells", -1),
    ],
)
def test_a_bad_field_of_a_method_is_refused_by_its_name(field, value):
    config = config_lib.default("mnist5k")
    config.update_from_flattened_dict({field: value})
    with pytest.raises(InputError, match=rf"{field} is {value!r}.*\.$"):
        validate(config)


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
        ("relaxation.backbone", "none"),
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
    fixed = cost.fixed_cost(space, sizes).madds
    full = cost.network_cost(space, sizes, space.full()).madds
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
