"""The 6-chain space S^(6).

python -m ifnas_jax.main --config=configs/lchain6.py[:DATASET] --workdir=DIR

Every field and its comment: ifnas_jax/config.py; the data set's own are in there too.
"""

from ifnas_jax import config as config_lib


def get_config(dataset: str = "imagenet2012"):
    """The configuration for a data set (a TFDS name, or mnist5k, imagenet100)."""
    config = config_lib.default(dataset)
    config.space.num_precursors = 6  # L: how many precursors a node may read
    if dataset != "mnist5k":
        # A loop has seven sampling steps, so there are few of them to prune after.
        config.goldnas.weakest = 12
    return config
