"""Prices and draws a config's search space or an architecture, in a second or two.

    python -m ifnas_jax.inspect --config=configs/lchain4.py:mnist5k
    python -m ifnas_jax.inspect --architecture=runs/first/search/architecture.json

Fields of a config are set as for a search: `--config.space.num_precursors=6`. With
--latency an architecture is also timed on the device at hand, in a minute or less.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from ifnas_jax import command, storage
from ifnas_jax import config as config_lib
from ifnas_jax.architecture import Architecture, load
from ifnas_jax.command import make_parser
from ifnas_jax.config.command_line import load_config
from ifnas_jax.config.validation import validate
from ifnas_jax.errors import InputError
from ifnas_jax.methods import sampling, traits
from ifnas_jax.report import tables

# Images at once, whose latency is measured.
_BATCHES = (1, 64)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit code."""
    parser = _parser()
    arguments, overrides = parser.parse_known_args(argv)
    if (arguments.config is None) == (arguments.architecture is None):
        parser.error("give either --config or --architecture.")
    if arguments.latency and arguments.architecture is None:
        parser.error("--latency is of an --architecture.")
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
    parser = make_parser("ifnas_jax.inspect", __doc__)
    parser.add_argument(
        "--config",
        metavar="NAME[:DATASET]",
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
    parser.add_argument(
        "--latency",
        action="store_true",
        help="measure an architecture on this machine, one image and 64 at once",
    )
    return parser


def _inspect_config(arguments: argparse.Namespace, overrides: Sequence[str]) -> None:
    config = load_config(arguments.config, overrides)
    validate(config)
    space, macro = config_lib.space(config), config_lib.macro(config)
    modulus = sampling.modulus(config, space)
    if not 0 <= arguments.group < modulus:
        raise InputError(
            f"--group is {arguments.group}; choose one from 0 to {modulus - 1}."
        )
    groups = sampling.groups(config, space)
    added = [sampling.additions(config, space, groups, i) for i in range(modulus)]
    sampled = traits(config.method).samples and config.sampling.groups != "matched"
    facts = tables.describe_space(space, macro, groups, added, sampled)
    if arguments.figure:
        # Matplotlib takes a while to import, so only for a figure.
        from ifnas_jax.report import drawing

        index = arguments.group
        figure = drawing.draw_space(space, groups, index, added[index])
        _save(figure, arguments.figure)
    table = tables.space_table(space, macro, facts)
    print(json.dumps(facts) if arguments.json else table)


def _inspect_architecture(arguments: argparse.Namespace) -> None:
    path = storage.named("--architecture", arguments.architecture)
    architecture = load(path)
    facts = tables.describe_architecture(architecture)
    if arguments.figure:
        from ifnas_jax.report import drawing

        _save(drawing.draw_architecture(architecture), arguments.figure)
    table = tables.architecture_table(architecture, facts)
    if arguments.latency:
        latency = _measure(architecture)
        facts["latency"] = latency
        table += f"\n\n{tables.latency_table(latency)}"
    print(json.dumps(facts) if arguments.json else table)


def _measure(architecture: Architecture) -> dict[str, Any]:
    """The device, and what each batch takes on it.

    Raises:
      InputError: JAX can't use the device.
    """
    from ifnas_jax.nn.latency import measure
    from ifnas_jax.runtime import devices, distributed

    devices.check()
    batches = []
    for batch in _BATCHES:
        print(f"inspect: measuring with batch {batch} ...", file=sys.stderr)
        batches.append(measure(architecture, batch)._asdict())
    return {"dtype": "float32", **distributed.describe_devices(), "batches": batches}


def _save(figure: Any, path: str) -> None:
    """Writes `--figure`.

    Raises:
      InputError: it can't be written.
    """
    from ifnas_jax.report import files

    path = storage.named("--figure", path)
    try:
        files.save_as(figure, path)
    except OSError as error:
        raise InputError(
            f"figure {path!r} cannot be written ({error.strerror}); name a file in a "
            "folder that exists."
        ) from error


if __name__ == "__main__":
    sys.exit(command.run("inspect", main))
