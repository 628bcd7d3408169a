"""Command lines of a config: every field, with values that fit and values that don't.

A case is a config file, its argument, and some overrides. It is refused by an
`InputError` of one sentence that names a field, or it is accepted, and then the
space, its price, the groups, the masks, the schedule and the stored config are
consistent by what is counted here.
"""

import itertools
import json
import math
import pathlib

import numpy as np
from hypothesis import strategies as st

from benchmarks.fuzz.harness import check_sentence
from ifnas_jax import config as config_lib
from ifnas_jax.architecture import cost
from ifnas_jax.config import ranges
from ifnas_jax.config.command_line import load_config
from ifnas_jax.config.ranges import CHOICES, JOBS
from ifnas_jax.config.validation import check_overrides, validate
from ifnas_jax.data.augment import eval_transform, train_transform
from ifnas_jax.errors import InputError
from ifnas_jax.methods import (
    METHODS,
    make_method,
    readers,
    regularizer,
    removal,
    sampling,
)
from ifnas_jax.methods.schedule import retrain_rate, search_rate, search_schedule
from ifnas_jax.spaces import NAMES
from ifnas_jax.spaces.interleaving import active_connections, interleave

ROOT = pathlib.Path(__file__).parents[2] / "configs"
FILES = ("lchain1", "lchain4", "lchain6", "lchain8", "darts_space", "goldnas_space")
DATASETS = ("imagenet2012", "imagenet100", "cifar10", "fashion_mnist", "mnist5k")

# Training images that a schedule is made for, where the data is not opened.
_IMAGES, _CLASSES = 3600, 10


def flat(config) -> dict:
    """Every field by its dotted name."""
    fields = {}
    for name, value in config.items():
        if hasattr(value, "items"):
            fields |= {f"{name}.{key}": held for key, held in flat(value).items()}
        else:
            fields[name] = value
    return fields


FIELDS = flat(config_lib.default("mnist5k"))

# What a name may be, and values of tuples that are one slip away from the default.
_CHOICES = {
    "method": METHODS,
    **{field: choices for field, choices in CHOICES.items() if choices[0] != 1},
    "dtype": (*CHOICES["dtype"], "float16"),
    "space.name": NAMES,
    "macro.stem": cost.STEM_STRIDES,
}
_ENTRIES = {
    "jobs": st.sampled_from(JOBS),
    "space.operators": st.sampled_from([*cost.OPERATORS, "max_pool_3x3"]),
    "space.nodes": st.integers(1, 12),
}
_text = st.text(
    st.characters(exclude_characters="\0", exclude_categories=()), max_size=8
)
_scalar = st.one_of(
    st.sampled_from([0, 1, -1, 2, 2**31, 2**32, 2**63, 10**9, 10**30, -(10**30)]),
    st.sampled_from(["nan", "inf", "-inf", "1e400", "1e30", "1e-320", "1.5", "1e5"]),
    st.sampled_from(["", "None", "True", "[]", "{}", "()", "'x'", "0x10", "1_0", "٣"]),
    st.integers(),
    st.floats(),
    _text,
)
_wild = st.one_of(
    _scalar.map(str),
    st.lists(_scalar, max_size=5).map(lambda values: repr(tuple(values))),
    st.lists(_scalar, max_size=3).map(lambda values: ",".join(map(str, values))),
    st.just("9" * 5000),
)


def _fitting(name: str):
    """Values that are right, or nearly: of the field's type and size."""
    value = FIELDS[name]
    if name in _CHOICES:
        return st.sampled_from(list(_CHOICES[name]))
    if isinstance(value, bool):
        return st.sampled_from(["true", "false", "0", "1"])
    if isinstance(value, int):
        about = st.sampled_from([value // 2, value - 1, value + 1, 2 * value])
        whole = about | st.integers(0, 8)
        return whole.map(str) | whole.map("{:e}".format) | whole.map("{}.0".format)
    if isinstance(value, float):
        scaled = st.floats(0, 2).map(lambda factor: factor * value)
        return (scaled | st.floats(0, 1)).map(str)
    if isinstance(value, tuple):
        entries = _ENTRIES.get(name, st.floats(0, 1))
        length = len(value)
        values = st.lists(entries, min_size=max(0, length - 1), max_size=length + 1)
        return values.map(lambda values: repr(tuple(values))) | values.map(
            lambda values: ", ".join(map(str, values))
        )
    return _text


@st.composite
def _override(draw) -> tuple[str, ...]:
    """One field, often with a method that reads it."""
    name = draw(st.sampled_from(sorted(FIELDS)))
    kind = draw(st.integers(0, 19))
    if kind == 0:
        return (draw(_text),)
    if kind == 1:
        other = draw(st.sampled_from([f"{name}s", f"{name}.x", name[1:], "space", ""]))
        return (f"--config.{other}={draw(_wild)}",)
    if kind == 2:
        return (f"--{draw(st.sampled_from(['', 'no']))}config.{name}",)
    value = draw(_wild if kind < 7 else _fitting(name))
    setting, methods = f"--config.{name}={value}", readers(name)
    if "ifnas" in methods or kind % 4 == 0:
        return (setting,)
    return (f"--config.method={draw(st.sampled_from(methods))}", setting)


@st.composite
def _cases(draw):
    dataset = draw(st.sampled_from([*DATASETS, "svhn_cropped", None]) | _text)
    path = ROOT / f"{draw(st.sampled_from(FILES))}.py"
    overrides = draw(st.lists(_override(), max_size=4))
    argument = f"{path}" + ("" if dataset is None else f":{dataset}")
    return argument, tuple(itertools.chain(*overrides))


CASES = _cases()
LCHAIN4 = f"{ROOT / 'lchain4.py'}:mnist5k"
# What was accepted, or took minutes or the memory, until it was mended; and the like.
PINNED = [
    (LCHAIN4, overrides)
    for overrides in (
        ("--config.search.max_epochs=nan",),
        ("--config.search.max_epochs=inf",),
        ("--config.search.weights_epochs=1e30",),
        ("--config.search.max_epochs=1e6", "--config.search.batch_size=1"),
        ("--config.penalty.delta=inf",),
        ("--config.penalty.delta=1e300",),
        ("--config.search.momentum=2",),
        ("--config.retrain.label_smoothing=1.5",),
        ("--config.space.nodes=(1000000000,1,1)",),
        ("--config.space.num_precursors=1000000000", "--config.derive=keep1"),
        ("--config.sampling.modulus=1000000000",),
        ("--config.dataset.jitter=(0.4,'a',0.1,0.1)",),
        ("--config.dataset.mean=(inf,)", "--config.dataset.std=(nan,)"),
        ("--config.dataset.channels=2",),
        ("--config.dataset.padding=28",),
        ("--config.macro.width=" + "9" * 5000,),
        ("two\nlines",),
        ("--config.jobs=search,retrain",),
        ("--config.search.batch_size=1e3",),
        ("--config.search.batch_size=1e999999999",),
    )
] + [
    (
        f"{ROOT / name}_space.py:mnist5k",
        (f"--config.macro.{field}=1000000000", "--config.derive=auto"),
    )
    for name in ("darts", "goldnas")
    for field in ("cells", "search_cells")
]


def check(case) -> bool:
    """Whether a command line is accepted; asserts what follows from the answer."""
    argument, overrides = case
    try:
        config = load_config(argument, overrides)
        check_overrides(config, load_config(argument))
        validate(config)
        config_lib.resolve(config, None)
        if not config.dataset.num_classes:
            config.dataset.num_classes = _CLASSES
        validate(config)
        train_transform(config.dataset)
        eval_transform(config.dataset)
        space = config_lib.space(config)
        masks = sampling.loop_masks(config, space)
        schedule = search_schedule(config, _IMAGES, masks)
    except InputError as error:
        check_sentence(error, [*names(), "config", "arguments"])
        # Python's own words say nothing of what to write instead.
        assert "invalid literal" not in str(error), error
        return False
    _check_numbers(config)
    _check_space(config, space)
    _check_schedule(config, schedule)
    _check_masks(config, space, schedule)
    return True


def names() -> list[str]:
    """Of all fields, without their group."""
    return [name.split(".")[-1] for name in FIELDS]


def _check_numbers(config) -> None:
    """Every number has a range and fits its type; JSON gives back the config."""
    for name, value in flat(config).items():
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float):
                assert abs(number) < float(np.finfo(np.float32).max), name
            if isinstance(value, int | float) and not isinstance(value, bool):
                assert name in {**ranges.RANGES, **ranges.CHOICES}, name
    stored = json.loads(config_lib.to_json(config), parse_constant=_refuse)
    assert config_lib.differences(config, stored) == []


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def _check_space(config, space) -> None:
    """Edges, groups and prices as they are counted by hand."""
    inputs = 2 if space.has_cells else 1
    for stage in space.stages:
        sources = [
            [src for src in range(1 - inputs, dst) if dst - src <= stage.num_precursors]
            for dst in range(1, stage.num_nodes + 1)
        ]
        pairs = [(src, dst + 1) for dst, row in enumerate(sources) for src in row]
        assert list(stage.edges()) == pairs
    count = sampling.modulus(config, space)
    groups = sampling.groups(config, space)
    for stage, own in zip(space.stages, groups, strict=True):
        nodes = sorted(node for group in own for node in group)
        assert nodes == list(range(1, stage.num_nodes + 1)) and len(own) == count
        default = config.sampling.modulus == space.modulus
        if config.sampling.groups == "modulo" and default and stage.num_nodes <= 20:
            for group in own:
                edges = active_connections(stage, group)
                assert not any(interleave(a, b) for a in edges for b in edges)
    macro = config_lib.macro(config)
    full = cost.network_cost(space, macro, space.full()).madds
    least = removal.least_madds(space, macro)
    assert 0 < cost.fixed_cost(space, macro).madds <= least <= full
    if config.derive in ("prune", "target"):
        assert least < config.target_madds < full


def _check_schedule(config, schedule) -> None:
    """Phases in order, whole loops, finite rates."""
    order = 0, schedule.beta, schedule.alpha, schedule.prune, schedule.total - 1
    assert list(order) == sorted(order) and schedule.total < 2**31
    assert schedule.total % schedule.loop == 0 and schedule.epoch > 0
    for step in order:
        assert 0 <= schedule.mask(step) < schedule.positions + schedule.first
        rate = np.float32(search_rate(config, schedule)(step))
        assert 0 <= rate <= np.float32(config.search.learning_rate)
    epoch = max(1, _IMAGES // config.retrain.batch_size)
    last = min(config.retrain.epochs * epoch, 2**31 - 1) - 1
    for step in (0, last):
        rate = float(retrain_rate(config, epoch)(step))
        assert math.isfinite(rate) and rate >= 0


def _check_masks(config, space, schedule) -> None:
    """In each step of the first loop every output has an input that survives."""
    method = make_method(config, space, config_lib.macro(config))
    mu = regularizer.mu(config, schedule, method.strength, schedule.total - 1)
    assert np.isfinite(mu).all()
    # What draws until a target is met takes seconds for a case.
    small = sum(space.nodes) * schedule.positions < 2000
    if not small or (method.draw and config.derive == "target"):
        return
    full = space.full()
    for graph, kept, stage in zip(
        space.stages, full, method.masks(full, 0), strict=True
    ):
        assert stage.active.shape == (stage.active.shape[0], *kept.shape)
        assert len(stage.active) == schedule.positions + schedule.first
        assert not (stage.active & ~kept).any()
        for active in stage.active:
            for node in graph.outputs():
                assert active[node - 1].any()
            for row, column in np.argwhere(active.any(axis=2)).tolist():
                src = row - column
                assert src <= 0 or active[src - 1].any()
