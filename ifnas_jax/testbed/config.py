"""Configs of a table: of the networks that it has, and of searches among them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from ifnas_jax import files, library
from ifnas_jax.config.validation import validate
from ifnas_jax.errors import InputError
from ifnas_jax.tabular import Table

# A search of seconds: stages are small, and a loop has few steps.
SEARCH: dict[str, Any] = {
    "sampling.period": 2,
    "relaxation.backbone": "constant",
    "search.batch_size": 64,
    "search.weights_epochs": 4.0,
    "search.beta_epochs": 2.0,
    "search.alpha_epochs": 2.0,
    "search.max_epochs": 24.0,
    "search.arch_learning_rate": 0.5,
    "search.valid_every": 0,
    "search.checkpoint_every": 100,
    "penalty.delta": 0.3,
    "penalty.prune_epochs": 8.0,
    "goldnas.delta": 0.05,
    "pcdarts.parts": 2,  # divides few channels
    # A network of few operators comes near few targets.
    "random.band": 0.8,
    "tensorboard": False,
}


# What the networks of a table are, and how they were trained.
_TABLES = ("space.", "macro.", "dataset.", "retrain.")
# What is said in another way.
_ARGUMENTS = {"target_madds": "madds", "seed": "seeds", "seeds": "seeds"}
_FACTS: files.Fields = {
    **dict.fromkeys(("num_precursors", "nodes", "stage"), int),
    **{"operators": list, "dataset": str, "recipe": dict},
}


def space_config(
    facts: Mapping[str, Any],
    fields: Mapping[str, Any] | None = None,
    data_dir: str = "",
) -> ConfigDict:
    """The config of a table's networks: space, sizes, data and recipe.

    Args:
      facts: "num_precursors", "nodes", "stage" (0 to 2), "operators", "dataset" and
        "recipe", as `Table.facts`.
      fields: values of other fields by their whole names, as {"method": "darts"}.
      data_dir: where the data set is, if not in TFDS' folder.

    Raises:
      InputError: a field is unknown, or the table's own; or the table does not say all
        of this.
    """
    try:
        files.check_object(dict(facts), _FACTS)
    except ValueError as error:
        raise InputError(
            f"the table does not say how its networks were trained ({error}); take one "
            "that benchmarks.tabular has made."
        ) from error
    if not 0 <= facts["stage"] < 3:
        raise InputError(
            f"the table's stage is {facts['stage']}; there are 0, 1 and 2."
        )
    nodes = [1, 1, 1]
    nodes[facts["stage"]] = facts["nodes"]
    decided = {
        "space.num_precursors": facts["num_precursors"],
        "space.nodes": tuple(nodes),
        "space.operators": tuple(facts["operators"]),
        **facts["recipe"],
    }
    for field in fields or {}:
        if field in decided or field.startswith(_TABLES):
            raise InputError(f"{field} is what the table decides; leave it out.")
    config = library.load_config(f"lchain4:{facts['dataset']}", fields)
    config.update_from_flattened_dict(decided)
    config.macro.search_width = config.macro.width
    config.dataset.data_dir = data_dir
    return config


def search_config(
    table: Table,
    fields: Mapping[str, Any] | None = None,
    madds: int | None = None,
    data_dir: str = "",
) -> ConfigDict:
    """The config of a search among a table's networks.

    Args:
      table: of which the space and the sizes are.
      fields: as `space_config`.
      madds: the target; None: the median of the table's networks.
      data_dir: as `space_config`.

    Raises:
      InputError: as `space_config`; no network is within the target; or the method
        does not go with the fields.
    """
    fields = dict(fields or {})
    for field in fields:
        if field in _ARGUMENTS:
            raise InputError(
                f"{field} is the same for all that is tried; give "
                f"--{_ARGUMENTS[field]} in its place."
            )
    if "jobs" in fields:
        raise InputError("jobs is ('search',) here; leave it out.")
    config = space_config(table.facts, fields, data_dir)
    quick = {name: value for name, value in SEARCH.items() if name not in fields}
    config.update_from_flattened_dict(quick)
    costs = table.madds()
    config.target_madds = int(np.median(costs)) if madds is None else madds
    if config.target_madds < costs.min():
        raise InputError(
            f"madds is {madds:,}; the least network of the table has "
            f"{int(costs.min()):,}."
        )
    config.jobs, config.seeds = ("search",), 2  # or more
    validate(config)
    return config
