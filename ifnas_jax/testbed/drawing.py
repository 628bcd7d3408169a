"""What a random search would have found that trains as many networks as it can pay."""

import numpy as np

from ifnas_jax.tabular import Table

_DRAWS = 2000


def drawn_regret(table: Table, trainings: int, madds: int) -> float:
    """The regret of random search, on average: how far it is from the best network.

    Networks within the budget are drawn, no one twice, each is trained once, and the
    most accurate is taken, as far as that one training tells. The table's means say how
    accurate it is. Over 2,000 searches, always the same.

    Args:
      table: of all networks.
      trainings: how many it can pay; at least one.
      madds: the budget of the networks.

    Returns:
      A fraction.

    Raises:
      InputError: no network is within the budget.
    """
    best = table.best(madds).top1
    top1 = table.accuracies()[table.madds() <= madds]
    means = top1.mean(axis=1)
    count = min(max(1, trainings), len(top1))
    rng = np.random.default_rng(0)
    # The first of a random order are drawn ones.
    places = rng.random((_DRAWS, len(top1))).argsort(axis=1)[:, :count]
    seeds = rng.integers(0, top1.shape[1], places.shape)
    chosen = top1[places, seeds].argmax(axis=1)
    found = means[places[np.arange(_DRAWS), chosen]]
    return float(best - found.mean())
