"""What fields that came later would have been in runs of earlier versions."""

from typing import Any

from ifnas_jax.errors import InputError
from ifnas_jax.methods import readers

# Other fields that came later had their present defaults, in effect.
_BEFORE = {"search.most_removed": 1.0, "relaxation.backbone": "constant"}


def fill_in(stored: dict[str, Any]) -> None:
    """Adds to the stored config of a run what its version had no field for.

    Where its method does not read a field it stays away. To know that of a method of
    one's own, its module is imported.

    Args:
      stored: as `config.json` has it; changed in place.
    """
    for field, before in _BEFORE.items():
        group, name = field.split(".")
        missing = isinstance(stored.get(group), dict) and name not in stored[group]
        if missing and _reads(str(stored.get("method")), field):
            stored[group][name] = before


def lacks(stored: dict[str, Any], field: str) -> bool:
    """Whether a filled-in config has no such field, which came later: it may differ."""
    group, _, name = field.partition(".")
    return field in _BEFORE and name not in stored.get(group, {})


def _reads(method: str, field: str) -> bool:
    """Whether a method reads a field; one of one's own may be gone."""
    try:
        return method in readers(field, method)
    except InputError:
        return False
