"""The 1-chain space S^(1).

python -m ifnas_jax.main --config=configs/lchain1.py[:DATASET] --workdir=DIR

Every field and its comment: ifnas_jax/config.py; the data set's own are in there too.
"""

from ifnas_jax import config as config_lib


def get_config(dataset: str = "imagenet2012"):
    """The configuration for a data set (a TFDS name, or mnist5k, imagenet100)."""
    config = config_lib.default(dataset)
    config.space.num_precursors = 1  # L: how many precursors a node may read
    # The whole super-network is a plain chain here, so a target lies under it: where
    # a random architecture, with sep_conv_3x3 in two of three nodes, often comes near.
    config.target_madds = round(0.65 * config.target_madds)
    return config
