"""Compiles a step for TPUs that are not attached, with the compiler in libtpu.

Nothing runs. The compiler says what the program will need, or that it doesn't fit.
"""

import re
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import topologies

from ifnas_jax import training
from ifnas_jax.errors import InputError
from ifnas_jax.runtime import tpu

# Rows in a tile of a TPU's memory: batches that are looked for are multiples of it.
TILE = 8
# An instruction of a compiled program, such as
# "%all-reduce.6 = (f32[64,10]{1,0:T(8,128)}, f32[]) all-reduce(%fusion.1, %div.2), ..."
_COLLECTIVE = re.compile(
    r"^ *(?:ROOT )?%\S+ = (?P<result>.+?) (?P<kind>all-reduce|all-gather|all-to-all|"
    r"reduce-scatter|collective-permute|collective-broadcast)(?:-start)?\(",
    re.MULTILINE,
)
_ARRAY = re.compile(r"(pred|[a-z]+(\d+)\w*)\[([\d,]*)\]")


class Memory(NamedTuple):
    """What a program takes of each device's memory, in bytes.

    Attributes:
      arguments: what it reads: the state, masks, one batch.
      outputs: what it makes outside of the memory of donated arguments.
      temporaries: what it needs while it runs.
      code: the program.
    """

    arguments: int
    outputs: int
    temporaries: int
    code: int


class Collective(NamedTuple):
    """Operations of one kind over the devices.

    Attributes:
      kind: such as "all-reduce".
      count: instructions in the program; one inside a loop counts once.
      bytes: of their results, on each device.
    """

    kind: str
    count: int
    bytes: int


class Program(NamedTuple):
    """What the compiler says of a step.

    Attributes:
      seconds: that it took.
      memory: None if it does not fit.
      collectives: by kind.
      refusal: the compiler's own words if it does not fit.
    """

    seconds: float
    memory: Memory | None
    collectives: list[Collective]
    refusal: str = ""


def topology_devices(name: str) -> list[jax.Device]:
    """The devices of a TPU topology; call it before JAX looks for devices.

    Args:
      name: a TPU and its grid of chips, as libtpu knows them, such as "v5e:4x4".

    Raises:
      InputError: libtpu is not installed or does not know the topology.
    """
    if not tpu.is_installed():
        raise InputError(
            "libtpu, the compiler for TPUs, is not installed; run "
            "\"pip install -e '.[preflight]'\" in the project's folder."
        )
    tpu.prepare_compiler()
    # For the small arrays of this process.
    jax.config.update("jax_platforms", "cpu")
    try:
        options = _options(name)
        return topologies.get_topology_desc(name, "tpu", **options).devices
    except jax.errors.JaxRuntimeError as error:
        reason = str(error).partition(": ")[2].split("\n")[0].rstrip(".")
        raise InputError(
            f"--topology is {name!r}, which libtpu does not take ({reason}); name a "
            "TPU and its grid of chips, such as v5e:2x2, v5e:4x4 or v5p:2x2x2."
        ) from error


def _options(name: str) -> dict[str, Any]:
    """What libtpu is told of a topology besides its name."""
    kind, _, grid = name.partition(":")
    options = {}
    if kind == "v4":
        # Its two cores are one device, as JAX drives them.
        options["chip_config_name"] = "megacore"
    if set(grid.split("x")) == {"1"}:
        # A host has four chips otherwise, and a topology whole hosts.
        options["chips_per_host_bounds"] = (1, 1, 1)
    return options


def device_memory(devices: Sequence[jax.Device]) -> int:
    """Bytes of a device that a program may take, by what libtpu says.

    It is less than what the device has. libtpu tells it when it refuses a program, so
    it is given one that no device holds.
    """
    huge = jax.ShapeDtypeStruct((len(devices), 2**40), jnp.float32)
    refusal = compile_for(lambda x: x + 1, (huge,), devices, donate=False).refusal
    size, unit = re.search(r"available HBM \(([\d.]+)([MG])\)", refusal).groups()
    return int(float(size) * {"M": 2**20, "G": 2**30}[unit])


def compile_for(
    step: Callable, arguments: tuple, devices: Sequence[jax.Device], donate: bool = True
) -> Program:
    """Compiles a step as a run does, for devices that need not be attached.

    Args:
      step: as for `training.compile_step`.
      arguments: their shapes, or arrays.
      devices: of a topology.
      donate: whether the first argument's memory is reused for the results.
    """
    start = time.perf_counter()
    try:
        compiled, seconds = training.compile_step(step, arguments, donate, devices)
    except jax.errors.JaxRuntimeError as error:
        words = str(error)
        if not words.startswith("RESOURCE_EXHAUSTED"):
            raise
        # The rest lists buffers.
        words = words.partition(": ")[2].partition("\n")[0]
        return Program(time.perf_counter() - start, None, [], words)
    sizes = compiled.memory_analysis()
    memory = Memory(
        sizes.argument_size_in_bytes,
        sizes.output_size_in_bytes - sizes.alias_size_in_bytes,
        sizes.temp_size_in_bytes,
        sizes.generated_code_size_in_bytes,
    )
    return Program(seconds, memory, collectives(compiled.as_text()))


def collectives(program: str) -> list[Collective]:
    """The collective operations in a compiled program's text, by kind.

    Of a started gather or permutation the result lists the operands too, and they are
    counted.
    """
    found: dict[str, Collective] = {}
    for match in _COLLECTIVE.finditer(program):
        kind = match["kind"]
        size = sum(map(_array_bytes, _ARRAY.finditer(match["result"])))
        old = found.get(kind, Collective(kind, 0, 0))
        found[kind] = Collective(kind, old.count + 1, old.bytes + size)
    return sorted(found.values())


def _array_bytes(match: re.Match) -> int:
    """Of a shape such as "bf16[64,10]"; "pred" takes a byte an entry."""
    size = int(match[2] or 8) // 8
    for length in filter(None, match[3].split(",")):
        size *= int(length)
    return size


def largest_batch(
    fits: Callable[[int], bool], guess: int, most: int, tile: int = TILE
) -> int:
    """The largest multiple of `tile` that fits, if all smaller ones then do.

    Steps away from the guess, each twice as far as the last, then halves: a good guess
    takes two trials.

    Args:
      fits: says so of a batch.
      guess: where to begin.
      most: not exceeded.
      tile: the batches that are tried are its multiples.

    Returns:
      The batch; 0 if not even `tile` fits.
    """
    top = most // tile * tile + tile
    low, high, step = 0, top, tile
    guess = min(max(guess // tile * tile, tile), top - tile)
    while high - low > tile:
        low, high = (guess, high) if fits(guess) else (low, guess)
        if low and high < top:
            guess = (low + high) // (2 * tile) * tile
        else:
            guess = min(low + step, top - tile) if low else max(high - step, tile)
        step *= 2
    return low
