"""Who decides: read this folder and you have read the paper.

One file a method, one interface (`interface.py`), and what methods share: groups and
masks, relaxation, the penalty, pruning, derivations, schedules, draws. A method is
handed its config, space and sizes; it knows no process, device or file.

A new method is a new file, whose function has the file's name, and an entry here; one
of one's own is named in a config as `module:function` (`docs/own_method.md`).
"""

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ml_collections import ConfigDict

from ifnas_jax.errors import InputError
from ifnas_jax.own import find, is_own
from ifnas_jax.spaces.graph import Space

if TYPE_CHECKING:
    from ifnas_jax.architecture.cost import Macro
    from ifnas_jax.methods.interface import Method


class Traits(NamedTuple):
    """What a method says of itself, to whoever checks or describes a run.

    Attributes:
      derivations: that it has, its default first.
      reads: fields of the config that it reads and not all methods do, by name or by
        group.
      samples: whether it trains groups in turn, and so reads `sampling.groups` and what
        belongs to it, and `relaxation.backbone`.
      draws: whether it draws the architectures that it trains or returns.
      regularized: whether its penalty follows `penalty.schedule`.
      fields: of a method of one's own: names and defaults of a group of the config,
        which has the name of its function.
    """

    derivations: tuple[str, ...]
    reads: tuple[str, ...] = ()
    samples: bool = False
    draws: bool = False
    regularized: bool = False
    fields: Mapping[str, Any] = {}


# How an architecture may be derived; `config/fields.py` says what each does.
DERIVATIONS = ("prune", "target", "keep1", "keep2")
_ALL = DERIVATIONS[1:]
_SGD = tuple(f"search.arch_{x}" for x in ("learning_rate", "momentum", "weight_decay"))
_IFNAS = Traits(
    ("prune", *_ALL),
    ("penalty", "search.threshold", "search.most_removed", *_SGD),
    regularized=True,
)

METHODS = {
    "ifnas": _IFNAS._replace(samples=True),
    "dnas": _IFNAS,
    "goldnas": Traits(("prune", "keep1", "keep2"), ("goldnas", *_SGD)),
    "darts": Traits(_ALL, ("darts", "bilevel")),
    "pcdarts": Traits(_ALL, ("pcdarts", "bilevel")),
    "fairdarts": Traits(_ALL, ("bilevel",)),
    "random": Traits(_ALL, ("random.band",), draws=True),
    "randomws": Traits(_ALL, ("random.band", "random.candidates"), draws=True),
}


def traits(method: str) -> Traits:
    """What a method says of itself.

    Args:
      method: a key of `METHODS`, or `module:function`, one of one's own.

    Raises:
      InputError: there is no such method, or it does not say what it is.
    """
    if method in METHODS:
        return METHODS[method]
    found = getattr(_function(method), "traits", None)
    known = isinstance(found, Traits) and set(found.derivations) <= set(DERIVATIONS)
    if not known or not found.derivations:
        raise InputError(
            f"method {method!r} does not say what it is; give its function the "
            "attribute `traits`, an ifnas_jax.methods.Traits with at least one of the "
            f"derivations {list(DERIVATIONS)}."
        )
    return found


def group_of(method: str) -> str:
    """The group of the config that has a method's own fields: its function's name."""
    return method.rpartition(":")[2]


def readers(field: str, method: str | None = None) -> tuple[str, ...]:
    """The methods that read a field; all of them, if it is of none in particular.

    Args:
      field: by its whole name.
      method: one of one's own, which is looked at too.
    """
    known = METHODS if method is None else {**METHODS, method: traits(method)}
    names = {field, field.partition(".")[0]}
    found = tuple(name for name, own in known.items() if names & set(_reads(name, own)))
    return found or tuple(known)


def _reads(method: str, own: Traits) -> tuple[str, ...]:
    group = (group_of(method),) if own.fields else ()
    return (*own.reads, *group, *(("relaxation.backbone",) if own.samples else ()))


def make_method(config: ConfigDict, space: Space, macro: "Macro") -> "Method":
    """The method that `config.method` names; imports JAX only here.

    Args:
      config: of the run.
      space: to search.
      macro: the sizes at which MAdds are counted.
    """
    return _function(config.method)(config, space, macro)


def _function(method: str) -> Callable[..., "Method"]:
    if method in METHODS:
        module = importlib.import_module(f"ifnas_jax.methods.{method}")
        return getattr(module, method)
    if is_own(method):
        return find("method", method)
    raise InputError(
        f"method is {method!r}; choose one of {list(METHODS)}, or name one of your own "
        "as 'module:function'."
    )
