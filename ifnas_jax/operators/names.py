"""Which operators there are: those that the library has, and the form of one's own."""

import reprlib
from collections.abc import Collection, Sequence

from ifnas_jax.errors import InputError
from ifnas_jax.own import is_own

# In the order in which arrays and files have them.
OPERATORS = ("sep_conv_3x3", "skip_connect")


def check_operator(name: object) -> None:
    """Refuses what is no operator's name.

    Raises:
      InputError: it is neither known nor of the form of one's own.
    """
    if name not in OPERATORS and not is_own(name):
        raise InputError(
            f"operator {reprlib.repr(name)} is unknown; choose from "
            f"{sorted(OPERATORS)}, or name one of your own as 'module:function'."
        )


def check_operators(operators: Sequence[str]) -> None:
    """Refuses an empty or repeated choice of operators.

    Raises:
      InputError: there is none, or one twice.
    """
    if not operators or len(set(operators)) != len(operators):
        raise InputError(
            f"space.operators is {tuple(operators)}; give at least one operator, and "
            "none of them twice."
        )


def known_and(used: Collection[str]) -> tuple[str, ...]:
    """The known operators, in their order, and then one's own that are used."""
    return *OPERATORS, *sorted(set(used) - set(OPERATORS))
