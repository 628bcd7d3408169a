"""The space of DARTS: a normal and a reduction cell, stacked.

python -m ifnas_jax.main --config=configs/darts_space.py[:DATASET] --workdir=DIR

Every field and its comment: ifnas_jax/config/fields.py; what data sets change:
ifnas_jax/config/presets.py.
"""

from ifnas_jax import config as config_lib


def get_config(dataset: str = "imagenet2012"):
    """The configuration for a data set (a TFDS name, or mnist5k, imagenet100)."""
    config = config_lib.default(dataset)
    config.space.update(name="darts", num_precursors=5, nodes=(4,))
    return config_lib.for_space(config)
