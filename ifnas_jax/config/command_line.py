"""Command lines: `--config=NAME[:DATASET]` and overrides `--config.FIELD=VALUE`."""

import ast
import decimal
import importlib.util
import inspect
import itertools
import os
import pathlib
import re
from collections.abc import Sequence

from absl import flags
from ml_collections import ConfigDict, config_flags

from ifnas_jax import storage
from ifnas_jax.errors import InputError
from ifnas_jax.methods import group_of, traits
from ifnas_jax.own import is_own

# Those that were installed.
_CONFIGS = pathlib.Path(__file__).parents[1] / "configs"


def load_config(argument: str, overrides: Sequence[str] = ()) -> ConfigDict:
    """The config of `NAME[:ARG]` or `FILE.py[:ARG]`, with the overrides applied.

    A name is that of an installed config, as "lchain4". So is `configs/NAME.py` where
    there is no such file.

    Raises:
      InputError: there is no such file, or an override is not of the config.
    """
    # What follows a colon, unless it is that of gs:// and such.
    path, *rest = re.split(r":(?!//)", argument, maxsplit=1)
    path = storage.named("--config", path)
    if storage.in_bucket(path):
        raise InputError(
            f"--config is {path!r}, but a config is Python, which is read from "
            "folders only; copy it into one, and name that."
        )
    path = _found(path)
    if not os.path.isfile(path):
        names = ", ".join(sorted(file.stem for file in _CONFIGS.glob("*.py")))
        raise InputError(
            f"config {path!r} is no file; name one such as those in configs/, or say "
            f"which of those is meant: {names}."
        )
    try:
        storage.read_bytes(path, storage.SMALL)
    except OSError as error:
        raise InputError(
            f"config {path!r} cannot be read ({error.strerror}); name one such as "
            "those in configs/."
        ) from error
    config = _get_config(path, rest)
    add_own_fields(config, _chosen_method(config, overrides))
    for override in overrides:
        _check_field(config, override)
    values, command = flags.FlagValues(), ["config", *_spelled(config, overrides)]
    try:
        config_flags.DEFINE_config_dict(
            "config", config, flag_values=values, sys_argv=command
        )
        unknown = values(command)[1:]
    except (flags.Error, ValueError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise InputError(f"config {argument!r}: {reason}.") from error
    if unknown:
        # A line end inside one is shown, not printed.
        shown = [text if text.isprintable() else repr(text) for text in unknown]
        raise InputError(f"unknown arguments: {' '.join(shown)}.")
    return values.config


def _found(path: str) -> str:
    """The file that is meant: one that is there, or that was installed."""
    named = re.fullmatch(r"\w+", path)
    in_configs = os.path.dirname(path) == "configs" and not os.path.isfile(path)
    if named or in_configs:
        file = _CONFIGS / (f"{path}.py" if named else os.path.basename(path))
        return str(file) if file.is_file() else path
    return path


def _get_config(path: str, rest: Sequence[str]) -> ConfigDict:
    """What `get_config` of a file returns for the arguments after its name."""
    # Not by config_flags' own loader: it hides an InputError in a traceback.
    spec = importlib.util.spec_from_file_location("config_file", path)
    if spec is None:
        raise InputError(f"config {path!r} is no Python file; its name ends in .py.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise InputError(
            f"config {path!r} is not Python ({error.msg}, line {error.lineno}); "
            "correct it."
        ) from error
    get_config = getattr(module, "get_config", None)
    try:
        inspect.signature(get_config).bind(*rest)
    except TypeError as error:
        raise InputError(
            f"config {path!r} has no function get_config that takes {rest}; define it "
            "as the files in configs/ do."
        ) from error
    return get_config(*rest)


def _chosen_method(config: ConfigDict, overrides: Sequence[str]) -> str:
    """The method that a command line names last, or else the config."""
    found = config.method
    for override, following in itertools.zip_longest(overrides, overrides[1:]):
        name, equals, value = override.partition("=")
        if name.lstrip("-") == "config.method":
            found = value if equals else following or found
    return found


def add_own_fields(config: ConfigDict, method: str) -> None:
    """Adds the group of fields that a method of one's own has, with its defaults.

    Raises:
      InputError: the method can't be found, or the group has a name that is taken.
    """
    if not is_own(method):
        return
    fields, group = traits(method).fields, group_of(method)
    if not fields:
        return
    if group in config:
        raise InputError(
            f"method {method!r} has fields of its own, but the config has {group!r} "
            "already; give its function another name."
        )
    with config.unlocked():
        config[group] = ConfigDict(dict(fields))


def _check_field(config: ConfigDict, override: str) -> None:
    """Refuses an override of a field that the config does not have."""
    match = re.match(r"--?(?:no)?config\.([^=]*)", override)
    if not match:
        return
    held, path = config, match[1].split(".")
    for place, name in enumerate(path):
        fields = list(held) if isinstance(held, ConfigDict) else []
        if name not in fields:
            known = ", ".join(".".join([*path[:place], field]) for field in fields)
            raise InputError(
                f"config has no field {match[1]!r}; "
                + (
                    f"choose from {known}."
                    if known
                    else f"{path[place - 1]!r} is a value."
                )
            )
        held = held[name]
    if isinstance(held, ConfigDict):
        fields = ", ".join(f"{match[1]}.{field}" for field in held)
        raise InputError(f"config.{match[1]} is no field, but holds {fields}; set one.")


def _spelled(config: ConfigDict, overrides: Sequence[str]) -> list[str]:
    """The overrides, values written as the flags' library reads them.

    A number of steps may be 1e3, and of a list no quotes and brackets are asked for.

    Raises:
      InputError: a value can't be of its field.
    """
    spelled, rest = [], list(overrides)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        field = name.removeprefix("--").removeprefix("-").removeprefix("config.")
        held = _held(config, field) if f"config.{field}" in name else None
        if held is None or isinstance(held, ConfigDict):
            spelled.append(name + equals + value)
            continue
        if not equals:
            # The value follows, but for what is switched on.
            if isinstance(held, bool) or not rest:
                spelled.append(name)
                continue
            value = rest.pop(0)
        spelled.append(f"{name}={_value(field, held, value)}")
    return spelled


def _held(config: ConfigDict, field: str):
    """The value of a field; None where there is no such field."""
    for name in field.split("."):
        if not isinstance(config, ConfigDict) or name not in config:
            return None
        config = config[name]
    return config


def _value(field: str, held, text: str) -> str:
    """A value for a field of the type of what it holds."""
    if isinstance(held, bool):
        if text.lower() not in ("true", "t", "1", "false", "f", "0"):
            raise InputError(f"{field} is {text!r}; set it to true or false.")
    elif isinstance(held, int | float):
        return _number(field, held, text)
    elif isinstance(held, tuple):
        return _items(field, text)
    return text


def _number(field: str, held: int | float, text: str) -> str:
    try:
        if isinstance(held, float):
            float(text)
            return text
        number = decimal.Decimal(text)
        # Not inf, nor what has a billion digits.
        if number == number.to_integral_value() and number.adjusted() < 30:
            return str(int(number))
    except (ValueError, ArithmeticError):
        pass
    kind = "number" if isinstance(held, float) else "whole number"
    raise InputError(f"{field} is {text!r}; set it to a {kind}, as {held!r}.")


def _items(field: str, text: str) -> str:
    """A tuple as Python writes it."""
    # Names of classes may be numbers, and 1e3 is not 1000.0.
    bare = field == "dataset.classes" and not set(text) & set("()[]{}\"'\\")
    try:
        if not bare:
            ast.literal_eval(text)
            return text
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        pass
    if set(text) & set('()[]{}"\\') or text.strip().startswith("'"):
        raise InputError(
            f"{field} is {text!r}, which is no list; write values with commas between "
            "them, and in quotes those that have brackets."
        )
    items = tuple(filter(None, map(str.strip, text.split(","))))
    return repr(items)
