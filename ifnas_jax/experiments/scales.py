"""The configs of experiments: at the paper's scale, or at one for two cores."""

from collections.abc import Sequence

from ml_collections import ConfigDict

from ifnas_jax.config.command_line import load_config
from ifnas_jax.config.validation import check_overrides, validate
from ifnas_jax.errors import InputError

SCALES = ("proxy", "paper")

# Seeds from here on tune the protocol; those that are reported are below.
LEFT_OUT = 1000

# Of the space, the data set and the schedule, at proxy scale. Images of 32 pixels,
# stages of 32, 16 and 8; search and retraining at one width, so that a network is in
# the super-network what it is alone. Gates are moved by the loss alone: without a
# penalty and pruning, what they say is the method's choice and not the penalty's.
PROXY = {
    "space.nodes": (6, 6, 6),
    "macro.search_width": 8,
    "macro.width": 8,
    "dataset.num_classes": 10,
    "dataset.valid_fraction": 0.1,
    "target_madds": 5_000_000,
    "sampling.period": 20,
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


def base(
    scale: str,
    space: str = "lchain4",
    dataset: str = "",
    data_dir: str = "",
    overrides: Sequence[str] = (),
    **fields,
) -> ConfigDict:
    """The config of an experiment's setting.

    Args:
      scale: one of `SCALES`.
      space: of `configs/`, as "lchain4".
      dataset: another one than the scale's.
      data_dir: where it is, if not in TFDS' folder.
      overrides: flags of a command line, for all settings.
      **fields: by their names, with "__" for dots; None leaves one as it is.

    Raises:
      InputError: a field can't be set so.
    """
    if scale not in SCALES:
        raise InputError(f"--scale is {scale!r}; choose one of {list(SCALES)}.")
    default = "imagenet2012" if scale == "paper" else "cifar10"
    name = f"configs/{space}.py:{dataset or default}"
    # Fields of one method only can be set for all: those that read them are meant.
    given = load_config(name)
    config = load_config(name, overrides)
    check_overrides(config, given)
    changes = dict(PROXY) if scale == "proxy" else {}
    set_fields = {key.replace("__", "."): value for key, value in fields.items()}
    changed = {override.partition("=")[0].lstrip("-") for override in overrides}
    for field, value in {**changes, **set_fields}.items():
        if value is not None and f"config.{field}" not in changed:
            set_field(config, field, value)
    if data_dir:
        config.dataset.data_dir = data_dir
    validate(config)
    return config


def set_field(config: ConfigDict, field: str, value) -> None:
    """Sets a field by its whole name."""
    *groups, name = field.split(".")
    for group in groups:
        config = config[group]
    config[name] = value
