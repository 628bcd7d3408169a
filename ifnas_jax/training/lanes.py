"""Many trainings side by side as one program: states, masks and batches get an axis.

A lane is one of them. All have the same shapes and the same step; what differs is data.
Lanes are spread over the devices first, where nothing is to be reduced, and only what
devices are left share the batch of a lane.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ifnas_jax.runtime import distributed

# The name of the lanes' axis over the devices.
LANES = "lanes"
_SHARED, _SPLIT = PartitionSpec(LANES), PartitionSpec(LANES, distributed.AXIS)


def lanes_mesh(lanes: int, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The devices as [groups of lanes, parts of a batch].

    Args:
      lanes: how many there are.
      devices: all that are attached, by default.
    """
    devices = np.array(jax.devices() if devices is None else devices)
    groups = math.gcd(lanes, devices.size)
    return Mesh(devices.reshape(groups, -1), (LANES, distributed.AXIS))


def stack(trees: Sequence[Any]) -> Any:
    """Trees of host arrays, one a lane, as one with the lanes' axis in front."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def place_lanes(tree: Any, mesh: Mesh, split: bool = False) -> Any:
    """Puts arrays [lanes, ...] on the devices that compute these lanes.

    Args:
      tree: of arrays.
      mesh: of `lanes_mesh`.
      split: along the second axis, too: the rows of each lane's batch.
    """
    return jax.device_put(tree, NamedSharding(mesh, _SPLIT if split else _SHARED))


def compile_lanes(step: Callable, arguments: tuple, mesh: Mesh) -> tuple[Callable, Any]:
    """Compiles a train step of one training for many lanes, ahead of time.

    Args:
      step: (state, ..., batch) -> (state, metrics), which reduces over the axis
        `distributed.AXIS`.
      arguments: an example of (live, state, ..., batch), or their shapes, all with the
        lanes' axis in front; `live` is bool [lanes].
      mesh: of `lanes_mesh`.

    Returns:
      What takes such arguments and returns (state, metrics) of all lanes; the state of
      a lane that does not live stays as it is, and its memory is reused as that of all
      others. And the seconds that compiling took.
    """

    def lane(live, state, *others):
        after, metrics = step(state, *others)
        # Not a product: what a lane that has diverged computes stays in it.
        kept = jax.tree.map(lambda x, y: jnp.where(live, x, y), after, state)
        return kept, metrics

    specs = (*[_SHARED] * (len(arguments) - 1), _SPLIT)
    mapped = jax.shard_map(
        jax.vmap(lane),
        mesh=mesh,
        in_specs=specs,
        out_specs=_SHARED,
        check_vma=False,
    )
    start = time.perf_counter()
    placed = jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs)
    jitted = jax.jit(mapped, in_shardings=placed, donate_argnums=1)
    compiled = jitted.lower(*arguments).compile()
    return compiled, time.perf_counter() - start
