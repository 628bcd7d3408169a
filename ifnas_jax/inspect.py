"""Prices and draws a config's search space or an architecture, in a second or two.

    python -m ifnas_jax.inspect --config=configs/lchain4.py:mnist5k
    python -m ifnas_jax.inspect --architecture=runs/first/search/architecture.json

Fields of a config are set as for a search: `--config.space.num_precursors=6`.
"""

import argparse
import importlib.util
import json
import os
import re
import sys
from collections.abc import Sequence

from absl import flags
from ml_collections import ConfigDict, config_flags

from ifnas_jax import config as config_lib
from ifnas_jax.architecture import load
from ifnas_jax.errors import InputError
from ifnas_jax.report import tables


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit code."""
    parser = _parser()
    arguments, overrides = parser.parse_known_args(argv)
    if (arguments.config is None) == (arguments.architecture is None):
        parser.error("give either --config or --architecture.")
    if overrides and arguments.config is None:
        parser.error(f"unknown arguments: {' '.join(overrides)}.")
    try:
        if arguments.config is not None:
            _inspect_config(arguments, overrides)
        else:
            _inspect_architecture(arguments)
    except InputError as error:
        print(f"inspect: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    description, _, usage = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m ifnas_jax.inspect",
        description=description,
        epilog=usage,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config",
        metavar="FILE.py[:DATASET]",
        help="a config, whose search space to describe",
    )
    parser.add_argument(
        "--architecture",
        metavar="FILE.json",
        help="an architecture.json, whose network to describe",
    )
    parser.add_argument(
        "--json", action="store_true", help="print a JSON object instead of a table"
    )
    parser.add_argument(
        "--figure",
        metavar="FILE.svg|.png",
        help="also draw it: a network, or a space with one sampling group",
    )
    parser.add_argument(
        "--group",
        type=int,
        default=0,
        metavar="λ",
        help="the sampling group that a space's figure shows (default: 0)",
    )
    return parser


def load_config(argument: str, overrides: Sequence[str] = ()) -> ConfigDict:
    """The config of `FILE.py[:ARG]`, with `--config.FIELD=VALUE` applied.

    Raises:
      InputError: there is no such file, or an override is not of the config.
    """
    path, *rest = argument.split(":", 1)
    if not os.path.isfile(path):
        raise InputError(
            f"config {path!r} is no file; name one such as those in configs/."
        )
    # Not by config_flags' own loader: it hides an InputError in a traceback.
    spec = importlib.util.spec_from_file_location("inspected_config", path)
    if spec is None:
        raise InputError(f"config {path!r} is no Python file; its name ends in .py.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config(*rest)
    for override in overrides:
        _check_field(config, override)
    values, command = flags.FlagValues(), ["inspect", *overrides]
    try:
        config_flags.DEFINE_config_dict(
            "config", config, flag_values=values, sys_argv=command
        )
        unknown = values(command)[1:]
    except (flags.Error, ValueError) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise InputError(f"config {argument!r}: {reason}.") from error
    if unknown:
        raise InputError(f"unknown arguments: {' '.join(unknown)}.")
    return values.config


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


def _inspect_config(arguments: argparse.Namespace, overrides: Sequence[str]) -> None:
    config = load_config(arguments.config, overrides)
    config_lib.validate(config)
    space, macro = config_lib.space(config), config_lib.macro(config)
    modulus = config.sampling.modulus or space.num_precursors
    additions = {"count": config.sampling.interleaved, "seed": config.seed}
    if not 0 <= arguments.group < modulus:
        raise InputError(
            f"--group is {arguments.group}; choose one from 0 to {modulus - 1}."
        )
    facts = tables.describe_space(
        space, macro, modulus, additions["count"], additions["seed"]
    )
    if arguments.figure:
        # Matplotlib takes a while to import, so only for a figure.
        from ifnas_jax.report import drawing, files

        groups, index = facts["groups"], arguments.group
        added = tables.added_connections(space, groups, index, **additions)
        files.save_as(drawing.draw_space(space, groups, index, added), arguments.figure)
    table = tables.space_table(space, macro, facts)
    print(json.dumps(facts) if arguments.json else table)


def _inspect_architecture(arguments: argparse.Namespace) -> None:
    architecture = load(arguments.architecture)
    facts = tables.describe_architecture(architecture)
    if arguments.figure:
        from ifnas_jax.report import drawing, files

        files.save_as(drawing.draw_architecture(architecture), arguments.figure)
    table = tables.architecture_table(architecture, facts)
    print(json.dumps(facts) if arguments.json else table)


if __name__ == "__main__":
    sys.exit(main())
