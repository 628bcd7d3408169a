"""The 4-chain space S^(4).

python -m ifnas_jax.main --config=configs/lchain4.py[:DATASET] --workdir=DIR

Every field and its comment: ifnas_jax/config/fields.py; what data sets change:
ifnas_jax/config/presets.py.
"""

from ifnas_jax import config as config_lib


def get_config(dataset: str = "imagenet2012"):
    """The configuration for a data set (a TFDS name, or mnist5k, imagenet100)."""
    config = config_lib.default(dataset)
    config.space.num_precursors = 4  # L: how many precursors a node may read
    return config_lib.for_space(config)
