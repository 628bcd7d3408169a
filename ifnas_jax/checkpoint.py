"""Checkpoints of a job, through Orbax: the only file that knows it.

A checkpoint is a tree of arrays and a JSON object. It is written in the background,
and counts once it is whole; a kill in between leaves the one before.
"""

import os
import zlib
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging


class Checkpoints:
    """The checkpoints under one directory, the two newest kept."""

    def __init__(self, directory: str | os.PathLike):
        self._directory = os.path.abspath(directory)
        self._open()

    def _open(self) -> None:
        options = ocp.CheckpointManagerOptions(max_to_keep=2)
        self._manager = ocp.CheckpointManager(self._directory, options=options)

    def save(self, step: int, tree: Any, facts: dict[str, Any]) -> None:
        """Saves a copy of a tree of arrays, and a JSON object; returns early."""
        # A copy: the device's memory is donated to the next step.
        tree = jax.tree.map(lambda x: np.array(x), tree)
        facts = {**facts, "checksum": _checksum(tree)}
        arguments = ocp.args.Composite(
            tree=ocp.args.StandardSave(tree), facts=ocp.args.JsonSave(facts)
        )
        self._manager.save(step, args=arguments)

    def restore(self, like: Any) -> tuple[int, Any, dict[str, Any]] | None:
        """The newest checkpoint that can be read, or None.

        One that can't is set aside as DIRECTORY/STEP.unreadable, and said so.

        Args:
          like: a tree of arrays of the same structure, shapes and dtypes.
        """
        for step in sorted(self._manager.all_steps(), reverse=True):
            problem = None
            try:
                tree, facts = self._read(step, like)
                if facts["checksum"] == _checksum(tree):
                    return step, tree, facts
                problem = "its checksum is another"
            # What Orbax and TensorStore raise on files that are torn or missing.
            except (OSError, ValueError, KeyError, TypeError) as error:
                problem = str(error).split("\n")[0]
            logging.warning(
                "checkpoint %s/%d is unreadable (%s); falling back to the one before.",
                self._directory,
                step,
                problem,
            )
            self._set_aside(step)
        return None

    def _read(self, step: int, like: Any) -> tuple[Any, dict[str, Any]]:
        like = jax.tree.map(lambda x: np.zeros(np.shape(x), x.dtype), like)
        arguments = ocp.args.Composite(
            tree=ocp.args.StandardRestore(like), facts=ocp.args.JsonRestore()
        )
        restored = self._manager.restore(step, args=arguments)
        return restored["tree"], restored["facts"]

    def _set_aside(self, step: int) -> None:
        self._manager.close()
        path = os.path.join(self._directory, str(step))
        os.replace(path, f"{path}.unreadable")
        self._open()

    def close(self) -> None:
        """Waits until everything is written."""
        self._manager.wait_until_finished()
        self._manager.close()


def _checksum(tree: Any) -> int:
    """CRC-32 of the arrays' bytes, in the tree's order."""
    checksum = 0
    for leaf in jax.tree.leaves(tree):
        checksum = zlib.crc32(np.ascontiguousarray(leaf).tobytes(), checksum)
    return checksum
