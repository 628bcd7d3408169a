r"""Compiles a run's train step for TPUs that are not attached: does it fit?

    python -m ifnas_jax.preflight --config=configs/lchain4.py --topology=v5e:4x4
    python -m ifnas_jax.preflight --config=configs/lchain4.py --topology=v5e:2x2 \
        --job=retrain --find-batch

Needs `pip install -e '.[preflight]'`, but neither a TPU nor the data. Fields of a
config are set as for a search: `--config.search.batch_size=512`. The exit code is 0 if
the step fits, 1 if it does not, 2 after bad input.
"""

import argparse
import functools
import importlib.metadata
import json
import math
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ml_collections import ConfigDict

from ifnas_jax import command
from ifnas_jax import config as config_lib
from ifnas_jax.command import make_parser
from ifnas_jax.config.command_line import load_config
from ifnas_jax.config.validation import check_overrides, validate
from ifnas_jax.errors import InputError
from ifnas_jax.preflight.table import size, table

if TYPE_CHECKING:
    from ifnas_jax.preflight.compiler import Program


class Trial(NamedTuple):
    """A compilation of the step for one batch.

    Attributes:
      batch: images a device.
      program: what the compiler says.
      params_bytes: of what has a gradient.
      waiting_bytes: of the batches that are sent ahead to a device.
      available: bytes of a device that a program may take.
    """

    batch: int
    program: "Program"
    params_bytes: int
    waiting_bytes: int
    available: int

    @property
    def needed(self) -> int | None:
        """Bytes on each device; None where the compiler refused."""
        memory = self.program.memory
        return sum(memory) + self.waiting_bytes if memory else None

    @property
    def fits(self) -> bool:
        """Whether a run would."""
        return self.needed is not None and self.needed <= self.available

    @property
    def verdict(self) -> str:
        """In words."""
        if self.needed is None:
            return f"does not fit ({self.program.refusal})"
        share = f"{size(self.needed)} of {size(self.available)}"
        return f"{'fits' if self.fits else 'does not fit'}, {share}"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit code."""
    arguments, overrides = _parser().parse_known_args(argv)
    try:
        facts = preflight(arguments, overrides)
    except InputError as error:
        print(f"preflight: {error}", file=sys.stderr)
        return 2
    print(json.dumps(facts, indent=1) if arguments.json else table(facts))
    return 0 if facts["fits"] else 1


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("ifnas_jax.preflight", __doc__)
    parser.add_argument(
        "--config", required=True, metavar="NAME[:DATASET]", help="what would run"
    )
    parser.add_argument(
        "--topology",
        required=True,
        metavar="TPU:AxB",
        help="where it would: v5e:4x4, v6e:2x2, v5p:2x2x2, ...",
    )
    parser.add_argument(
        "--job", choices=("search", "retrain"), default="search", help="whose step"
    )
    parser.add_argument(
        "--architecture",
        metavar="FILE.json",
        help="what to retrain; without it, one is drawn as method random does",
    )
    parser.add_argument(
        "--find-batch",
        action="store_true",
        help="also find the largest batch that fits; takes several compilations",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    return parser


def preflight(
    arguments: argparse.Namespace, overrides: Sequence[str]
) -> dict[str, Any]:
    """What a step will need on each device of a topology.

    Args:
      arguments: of the command line.
      overrides: `--config.FIELD=VALUE`.

    Returns:
      What `--json` prints; sizes are bytes on each device.

    Raises:
      InputError: libtpu is missing; or the config, topology or architecture can't be
        used; or the devices don't divide the batch.
    """
    config = _load(arguments, overrides)
    # JAX is imported only when there is something to compile.
    from ifnas_jax.preflight import compiler, steps
    from ifnas_jax.runtime import distributed

    devices = compiler.topology_devices(arguments.topology)
    count, fields = len(devices), config[arguments.job]
    distributed.check_batch(arguments.job, fields, count)
    origin, make = None, steps.search_step
    if arguments.job == "retrain":
        architecture, origin = steps.find_architecture(config, arguments.architecture)
        make = functools.partial(steps.retrain_step, architecture=architecture)
    known = config, fields, make, devices, compiler.device_memory(devices)
    attempt = functools.cache(functools.partial(_attempt, *known))
    first = attempt(fields.batch_size // count)
    facts = {
        "job": arguments.job,
        "config": arguments.config,
        "topology": arguments.topology,
        "kind": devices[0].device_kind,
        "devices": count,
        "processes": len({device.process_index for device in devices}),
        "dtype": config.dtype,
        "architecture": origin,
        **_facts(first, count),
    }
    if arguments.find_batch:
        tile = math.lcm(compiler.TILE, fields.accumulate)
        largest = _largest(attempt, first.batch, steps.EXAMPLES // count, tile)
        facts["largest_batch"] = {
            "device": largest,
            "global": largest * count,
            "compilations": attempt.cache_info().currsize,
        }
    return facts | {"versions": _versions()}


def _attempt(
    config: ConfigDict,
    fields: ConfigDict,
    make: Callable,
    devices: Sequence,
    available: int,
    batch: int,
) -> Trial:
    """Compiles the step for a number of images a device."""
    from ifnas_jax.preflight import compiler

    _say(f"{batch} images a device: compiling ...")
    fields.batch_size = batch * len(devices)
    step = make(config, len(devices))
    program = compiler.compile_for(step.function, step.arguments, devices)
    trial = Trial(batch, program, step.params_bytes, step.waiting_bytes, available)
    _say(f"{batch} images a device: {trial.verdict} [{program.seconds:.1f} s]")
    return trial


def _largest(attempt: Callable[[int], Trial], tried: int, most: int, tile: int) -> int:
    """The largest batch of a device that fits, a multiple of the tile, or 0."""
    from ifnas_jax.preflight import compiler

    guess = _guess(attempt, tried, most, tile)
    return compiler.largest_batch(lambda batch: attempt(batch).fits, guess, most, tile)


def _load(arguments: argparse.Namespace, overrides: Sequence[str]) -> ConfigDict:
    """The config, as a run on a TPU resolves it."""
    if arguments.architecture and arguments.job != "retrain":
        raise InputError(
            f"--architecture is {arguments.architecture!r}, but a search has none yet; "
            "leave it out, or add --job=retrain."
        )
    config = load_config(arguments.config, overrides)
    if arguments.job == "search":
        # An architecture to retrain is drawn by the fields of another method.
        check_overrides(config, load_config(arguments.config))
    validate(config)
    if config.seeds > 1:
        raise InputError(
            f"seeds is {config.seeds}, but preflight compiles the step of one search; "
            "leave it out. (With lanes 'together' a device has the memory of several.)"
        )
    config_lib.resolve(config, None)
    if config.dtype == "auto":
        config.dtype = "bfloat16"
    if config.search.skipping == "auto":
        config.search.skipping = "loops"
    return config


def _guess(attempt: Callable[[int], Trial], batch: int, most: int, tile: int) -> int:
    """About where memory is full, since it grows about in proportion to the batch.

    No straight line through two batches: the compiler's layouts suit some better, and
    128 images may take less than 64.
    """
    trial = attempt(batch)
    while trial.fits:
        guess = min(trial.batch * trial.available // trial.needed, most)
        if guess < trial.batch + tile:
            break
        trial = attempt(guess // tile * tile)
    return trial.batch


def _facts(trial: Trial, count: int) -> dict[str, Any]:
    """Of one batch."""
    program = trial.program
    memory = program.memory._asdict() if program.memory else {}
    return {
        "batch": {"device": trial.batch, "global": trial.batch * count},
        "fits": trial.fits,
        "compile_seconds": round(program.seconds, 1),
        "memory": {
            **memory,
            "waiting": trial.waiting_bytes,
            "needed": trial.needed,
            "available": trial.available,
        },
        "params_bytes": trial.params_bytes,
        "collectives": [entry._asdict() for entry in program.collectives],
        "refusal": program.refusal,
    }


def _versions() -> dict[str, str]:
    packages = "ifnas_jax", "jax", "jaxlib", "libtpu"
    return {package: importlib.metadata.version(package) for package in packages}


def _say(text: str) -> None:
    print(f"preflight: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(command.run("preflight", main))
