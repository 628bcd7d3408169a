"""The configs of experiments: at the paper's scale, or at ones for less.

proxy is for two cores, gpu for one GPU and minutes; both are of CIFAR-10's size.
"""

from argparse import Namespace
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from ifnas_jax.config.command_line import load_config
from ifnas_jax.config.validation import validate
from ifnas_jax.errors import InputError

# The data set of each scale, if an experiment has no other.
DATA = {"proxy": "cifar10", "gpu": "cifar10", "paper": "imagenet2012"}
SCALES = tuple(DATA)

# Of the space, the data set and the schedule, at proxy scale. Images of 32 pixels,
# stages of 32, 16 and 8; search and retraining at one width, so that a network is in
# the super-network what it is alone. The target is the cost of the plain chain.
PROXY: dict[str, Any] = {
    "space.nodes": (6, 6, 6),
    "macro.search_width": 8,
    "macro.width": 8,
    "dataset.num_classes": 10,
    "dataset.valid_fraction": 0.1,
    "target_madds": 5_000_000,
    "sampling.period": 20,
    # As the paper's, which a preset may not have.
    "relaxation.backbone": "constant",
    # 2,000 steps of 45,000 images; gates move from step 400 on.
    "search.weights_epochs": 0.57,
    "search.beta_epochs": 0.285,
    "search.alpha_epochs": 0.0,
    "search.max_epochs": 2.84,
    "search.arch_learning_rate": 0.5,
    "search.batch_size": 64,
    "search.valid_every": 0,
    "search.checkpoint_every": 10,
    "retrain.batch_size": 64,
    "retrain.epochs": 3,
    "retrain.learning_rate": 0.1,
    "retrain.warmup_epochs": 0,
    "retrain.final_epochs": 1,
    "retrain.auxiliary_weight": 0.0,
    "retrain.test_every": 1000,
    "tensorboard": False,
}
# The same with the paper's stages and search width, for one GPU.
GPU: dict[str, Any] = {
    **PROXY,
    "space.nodes": (18, 20, 18),
    "macro.search_width": 16,
    "macro.width": 16,
    "target_madds": 42_500_000,
}
# The paper's are the defaults; but the test part is read once, at the end.
PAPER: dict[str, Any] = {"retrain.test_every": 1000}
_FIELDS = {"proxy": PROXY, "gpu": GPU, "paper": PAPER}


def base(
    scale: str,
    dataset: str = "",
    data_dir: str = "",
    overrides: Sequence[str] = (),
    *,
    space: str = "lchain4",
    of_paper: str = "",
    **fields,
) -> ConfigDict:
    """The config of one setting.

    Args:
      scale: one of `SCALES`.
      dataset: another one than the scale's.
      data_dir: where it is, if not in TFDS' folder.
      overrides: flags of a command line, for all settings.
      space: of `configs/`, without the suffix.
      of_paper: the data set at the paper's scale, if it is not ImageNet-1k.
      **fields: by their whole names, with "__" for dots.

    Raises:
      InputError: a field can't be set so.
    """
    default = of_paper if of_paper and scale == "paper" else DATA[scale]
    config = load_config(f"configs/{space}.py:{dataset or default}", overrides)
    named = {text.partition("=")[0].lstrip("-") for text in overrides}
    own = {field.replace("__", "."): value for field, value in fields.items()}
    for field, value in {**_FIELDS[scale], **own}.items():
        if f"config.{field}" not in named:
            _set(config, field, value)
    if data_dir:
        config.dataset.data_dir = data_dir
    validate(config)
    return config


def _set(config: ConfigDict, field: str, value: Any) -> None:
    *groups, name = field.split(".")
    for group in groups:
        config = config[group]
    config[name] = value


def seeds_of(experiment: ModuleType, arguments: Namespace) -> range:
    """The seeds of a command line: 5, or as many as the paper has.

    Raises:
      InputError: there are none.
    """
    first = arguments.first_seed
    if first is None:
        first = getattr(experiment, "FIRST_SEED", 0)
    count = arguments.seeds
    if count is None:
        paper = arguments.scale == "paper"
        count = getattr(experiment, "PAPER_SEEDS", 1) if paper else 5
    if count < 1 or first < 0:
        raise InputError(
            f"--seeds is {count} and --first-seed {first}; give at least one seed, "
            "from 0 on."
        )
    return range(first, first + count)
