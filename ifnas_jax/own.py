"""Code of one's own, named in a config as `module:function`.

Nothing here imports JAX; a module of one's own does, once it is looked for.
"""

import importlib
from collections.abc import Callable

from ifnas_jax.errors import InputError, describe


def is_own(name: object) -> bool:
    """Whether a name has the form of `my_operators:sep_conv_5x5`."""
    if not isinstance(name, str):
        return False
    module, _, function = name.partition(":")
    return all(part.isidentifier() for part in (*module.split("."), function))


def find(kind: str, name: str) -> Callable:
    """The function that `module:function` names.

    Args:
      kind: "operator" or "method", for the message.
      name: as the config has it.

    Raises:
      InputError: the module can't be imported, or has no such function.
    """
    path, _, function = name.partition(":")
    try:
        module = importlib.import_module(path)
        found = getattr(module, function, None)
    # It is the user's own code, which may raise anything, or call sys.exit.
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{kind} {name!r}: module {path!r} can't be imported "
            f"({describe(error)}); correct it or its name, and start the command in "
            "its folder, or install it."
        ) from error
    if not callable(found):
        raise InputError(
            f"{kind} {name!r}: module {path!r} has no function {function!r}; define "
            "it there, or correct the name."
        )
    return found
