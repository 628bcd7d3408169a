"""What a data set changes: its sizes, budgets and pace, alone and with a space.

A data set of one's own takes those of a set of unknown size, 32×32 pixels in colour.
"""

from ml_collections import ConfigDict

_IMAGENET = ("imagenet2012", "imagenet100")


def for_dataset(config: ConfigDict, dataset: str) -> None:
    """Sets what a data set changes, whatever the space.

    Args:
      config: changed in place; ImageNet's.
      dataset: its name.
    """
    if dataset == "imagenet100":
        config.dataset.num_classes = 100
        config.retrain.epochs = 100
    elif dataset != "imagenet2012":
        _small_images(config)
    if dataset == "cifar10":
        config.dataset.num_classes = 10
    if dataset in ("fashion_mnist", "mnist5k"):
        _grey_images(config)
    if dataset == "mnist5k":
        _mnist5k(config)


def for_space(config: ConfigDict) -> ConfigDict:
    """Sets what the space and the data set change together; the end of a config file.

    Args:
      config: changed in place, and returned; its space and its data set's preset are
        set.
    """
    space, small = config.space, config.dataset.name == "mnist5k"
    if space.name == "darts":
        _darts(config)
    elif space.name == "goldnas":
        _goldnas(config)
    elif space.num_precursors == 1:
        # The whole super-network is a plain chain here, so a target lies under it:
        # where a random architecture, with sep_conv_3x3 in two of three nodes, often
        # comes near.
        config.target_madds = round(0.65 * config.target_madds)
    elif space.num_precursors == 6 and not small:
        # A loop has seven sampling steps, so there are few of them to prune after.
        config.goldnas.weakest = 12
    elif space.num_precursors == 8 and not small:
        # A loop has nine sampling steps.
        config.penalty.prune_epochs = 20.0
        config.goldnas.weakest = 20
    elif space.num_precursors == 8:
        space.nodes = (9, 9, 9)  # with 6 a node would have 6 precursors at most
        config.target_madds = 18_900_000  # as near the plain chain's as with 6
        # A loop has nine sampling steps, so there are few of them.
        config.penalty.update(delta=0.5, prune_epochs=4.0)
    return config


def _darts(config: ConfigDict) -> None:
    """Cells of the space of DARTS."""
    config.macro.update(search_cells=8, cells=14, width=48)
    if config.dataset.name not in _IMAGENET:
        config.macro.update(cells=20, width=36)
    if config.dataset.name == "mnist5k":
        config.macro.update(search_cells=3, cells=3, width=16)


def _goldnas(config: ConfigDict) -> None:
    """Cells of the space of GOLD-NAS, and what all of them may cost."""
    config.macro.update(search_cells=14, cells=14, width=48)
    if config.dataset.name not in _IMAGENET:
        config.macro.width = 36
        grey = config.dataset.image_size == 28
        config.target_madds = 230_000_000 if grey else 300_000_000
    if config.dataset.name == "mnist5k":
        config.macro.update(search_cells=3, cells=3, width=16)
        config.target_madds = 15_000_000


def _small_images(config: ConfigDict) -> None:
    """32×32 colour images: CIFAR-10, and what a set of unknown size is resized to."""
    config.target_madds = 100_000_000
    config.macro.update(width=24, search_width=16, stem="small")
    config.dataset.update(
        image_size=32,
        num_classes=0,
        valid_fraction=0.1,
        crop="pad",
        padding=4,
        jitter=(0.0, 0.0, 0.0, 0.0),
        mean=(),
        std=(),
    )
    config.search.update(batch_size=64, learning_rate=0.05)
    config.retrain.update(batch_size=128, epochs=200, learning_rate=0.1)


def _grey_images(config: ConfigDict) -> None:
    """28×28 grey images."""
    config.target_madds = 76_000_000
    config.dataset.update(image_size=28, channels=1, num_classes=10, padding=2)


def _mnist5k(config: ConfigDict) -> None:
    """4,000 digits, in minutes on two cores: small stages and short phases."""
    config.target_madds = 13_500_000
    config.space.nodes = (6, 6, 6)
    config.macro.width = 16
    config.dataset.update(flip=False)
    config.sampling.period = 2
    # So that a pruning changes little of what the super-network computes.
    config.relaxation.backbone = "gates"
    config.search.update(
        batch_size=32,
        weights_epochs=1.0,
        beta_epochs=0.5,
        alpha_epochs=0.5,
        max_epochs=12.0,
        valid_every=10,
        checkpoint_every=5,
    )
    config.penalty.update(delta=0.3, prune_epochs=7.0)
    config.retrain.update(
        batch_size=64,
        epochs=5,
        learning_rate=0.1,
        warmup_epochs=1,
        final_epochs=1,
        test_every=5,
    )
    config.log_every = 20
