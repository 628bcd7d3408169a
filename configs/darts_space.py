"""The space of DARTS: a normal and a reduction cell, stacked.

python -m ifnas_jax.main --config=configs/darts_space.py[:DATASET] --workdir=DIR

Every field and its comment: ifnas_jax/config.py; the data set's own are in there too.
"""

from ifnas_jax import config as config_lib


def get_config(dataset: str = "imagenet2012"):
    """The configuration for a data set (a TFDS name, or mnist5k, imagenet100)."""
    config = config_lib.default(dataset)
    config.space.update(name="darts", num_precursors=5, nodes=(4,))
    config.macro.update(search_cells=8, cells=14, width=48)
    if dataset not in ("imagenet2012", "imagenet100"):
        config.macro.update(cells=20, width=36)
    if dataset == "mnist5k":
        config.macro.update(search_cells=3, cells=3, width=16)
    return config
