"""What fields that came later would have been in runs of earlier versions."""

from typing import Any

from ifnas_jax import config as config_lib
from ifnas_jax.errors import InputError
from ifnas_jax.methods import readers

# Other fields that came later had their present defaults, in effect.
_BEFORE = {"search.most_removed": 1.0, "relaxation.backbone": "constant"}


def fill_in(stored: dict[str, Any]) -> None:
    """Adds to the stored config of a run what its version had no field for.

    Where its method does not read a field, that is the present default: it is nothing
    that another run could differ in.

    Args:
      stored: as `config.json` has it, with its "dataset"; changed in place.
    """
    for field, before in _BEFORE.items():
        group, name = field.split(".")
        if not isinstance(stored.get(group), dict) or name in stored[group]:
            continue
        if not _reads(str(stored.get("method")), field):
            dataset = str(stored["dataset"].get("name", ""))
            before = config_lib.default(dataset)[group][name]
        stored[group][name] = before


def _reads(method: str, field: str) -> bool:
    """Whether a method reads a field; one of one's own may be gone."""
    try:
        return method in readers(field, method)
    except InputError:
        return False
