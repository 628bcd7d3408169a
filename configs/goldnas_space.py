"""The space of GOLD-NAS: 14 cells, each its own.

python -m ifnas_jax.main --config=configs/goldnas_space.py[:DATASET] --workdir=DIR

Every field and its comment: ifnas_jax/config.py; the data set's own are in there too.
"""

from ifnas_jax import config as config_lib


def get_config(dataset: str = "imagenet2012"):
    """The configuration for a data set (a TFDS name, or mnist5k, imagenet100)."""
    config = config_lib.default(dataset)
    config.space.update(name="goldnas", num_precursors=5, nodes=(4,))
    config.macro.update(search_cells=14, cells=14, width=48)
    if dataset not in ("imagenet2012", "imagenet100"):
        config.macro.width = 36
        config.target_madds = (
            230_000_000 if config.dataset.image_size == 28 else 300_000_000
        )
    if dataset == "mnist5k":
        config.macro.update(search_cells=3, cells=3, width=16)
        config.target_madds = 15_000_000
    return config
