"""Checkpoints of a job, through Orbax: the only file that knows it.

A checkpoint is a tree of arrays and a JSON object. It is written in the background,
and counts once it is whole; a kill in between leaves the one before.
"""

import os
import zlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging

from ifnas_jax.errors import DivergedError, InputError


class Checkpoints:
    """The checkpoints under one directory, the two newest kept."""

    def __init__(self, directory: str | os.PathLike):
        self._directory = os.path.abspath(directory)
        self._open()

    def _open(self) -> None:
        options = ocp.CheckpointManagerOptions(max_to_keep=2)
        self._manager = ocp.CheckpointManager(self._directory, options=options)

    def save(self, step: int, tree: Any, facts: dict[str, Any]) -> None:
        """Saves a copy of a tree of arrays, and a JSON object; returns early.

        Raises:
          DivergedError: the tree is not finite; nothing is saved.
        """
        # A copy: the device's memory is donated to the next step.
        tree = jax.tree.map(lambda x: np.array(x), tree)
        check_finite(tree, step)
        facts = {**facts, "checksum": _checksum(tree)}
        arguments = ocp.args.Composite(
            tree=ocp.args.StandardSave(tree), facts=ocp.args.JsonSave(facts)
        )
        self._manager.save(step, args=arguments)

    def restore(
        self, like: Any, check: Callable[[dict[str, Any]], None] = lambda facts: None
    ) -> tuple[int, Any, dict[str, Any]] | None:
        """The newest checkpoint that can be read, or None if there is none yet.

        One that can't is set aside as DIRECTORY/STEP.unreadable, and said so.

        Args:
          like: a tree of arrays of the same structure, shapes and dtypes.
          check: raises an InputError if the JSON object is of something else.

        Raises:
          InputError: there are checkpoints, and none of them can be read, or `check`
            refused one.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        for step in steps:
            try:
                tree, facts = self._read(step, like, check)
                if facts["checksum"] == _checksum(tree):
                    return step, tree, facts
                problem = "its checksum is another"
            except InputError:
                raise
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
        if steps:
            raise InputError(
                f"none of the checkpoints in {self._directory} can be read; restore "
                "them from the *.unreadable folders there, or start again to begin "
                "at step 0."
            )
        return None

    def _read(self, step: int, like: Any, check) -> tuple[Any, dict[str, Any]]:
        # First what it is of: another's tree may have other shapes.
        arguments = ocp.args.Composite(facts=ocp.args.JsonRestore())
        facts = self._manager.restore(step, args=arguments)["facts"]
        check(facts)
        like = jax.tree.map(lambda x: np.zeros(np.shape(x), x.dtype), like)
        arguments = ocp.args.Composite(tree=ocp.args.StandardRestore(like))
        return self._manager.restore(step, args=arguments)["tree"], facts

    def _set_aside(self, step: int) -> None:
        self._manager.close()
        path = os.path.join(self._directory, str(step))
        aside, count = f"{path}.unreadable", 1
        while os.path.exists(aside):
            aside, count = f"{path}.unreadable{count}", count + 1
        os.replace(path, aside)
        self._open()

    def close(self) -> None:
        """Waits until everything is written."""
        self._manager.wait_until_finished()
        self._manager.close()


def check_finite(tree: Any, step: int) -> None:
    """Refuses a state that training could not go on from.

    Raises:
      DivergedError: something in it is not finite.
    """
    for leaf in jax.tree.leaves(tree):
        if not np.isfinite(leaf).all():
            raise DivergedError(
                f"the state after step {step} is not finite; the checkpoint before it "
                "is kept: start again with a lower learning rate in a new workdir."
            )


def _checksum(tree: Any) -> int:
    """CRC-32 of the arrays' bytes, in the tree's order."""
    checksum = 0
    for leaf in jax.tree.leaves(tree):
        checksum = zlib.crc32(np.ascontiguousarray(leaf).tobytes(), checksum)
    return checksum
