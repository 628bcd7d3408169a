"""The 8-chain space S^(8).

python -m ifnas_jax.main --config=configs/lchain8.py[:DATASET] --workdir=DIR

Every field and its comment: ifnas_jax/config.py; the data set's own are in there too.
"""

from ifnas_jax import config as config_lib


def get_config(dataset: str = "imagenet2012"):
    """The configuration for a data set (a TFDS name, or mnist5k, imagenet100)."""
    config = config_lib.default(dataset)
    config.space.num_precursors = 8  # L: how many precursors a node may read
    if dataset == "mnist5k":
        config.space.nodes = (9, 9, 9)  # with 6 a node would have 6 precursors at most
        config.target_madds = 18_900_000  # as near the plain chain's as with 6
    else:
        # A loop has nine sampling steps, so there are few of them to prune after.
        config.penalty.prune_epochs = 20.0
        config.goldnas.weakest = 20
    return config
