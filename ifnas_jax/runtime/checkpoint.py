"""Checkpoints of a job, through Orbax: the only file that uses it.

A checkpoint is a tree of arrays and a JSON object. It is written in the background,
and counts once it is whole; a kill in between leaves the one before. Process 0 alone
writes and reads them, and tells the others.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging

from ifnas_jax import storage
from ifnas_jax.errors import DivergedError, InputError, StorageError
from ifnas_jax.runtime import distributed
from ifnas_jax.runtime.checksums import checksum, checksum_json
from ifnas_jax.runtime.orbax_errors import quiet, reason, system_error

# What Orbax and TensorStore raise on files that are torn, missing or not writable.
_FILE_ERRORS = (OSError, ValueError, KeyError, TypeError)
# Of those, the ones of files that are there no more; others may pass, and say nothing
# of what is in the files.
_MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class Checkpoints:
    """The checkpoints under one directory, the two newest kept."""

    def __init__(self, directory: str | os.PathLike):
        self._directory = storage.literal(directory)
        self._manager = None
        self._quiet = contextlib.ExitStack()
        self._proven = False  # that what this start writes can be read
        self.newest: int | None = None  # the step that was saved or restored last
        if distributed.is_primary():
            self._quiet.enter_context(quiet())
            self._open()

    def _open(self) -> None:
        # Two, and nothing of what a kill left half-written.
        options = _options(max_to_keep=2, cleanup_tmp_directories=True)
        try:
            storage.make_folder(self._directory)
            with self._foreign_errors():
                self._manager = ocp.CheckpointManager(self._directory, options=options)
            # Orbax would ask JAX whether all are to stop, in this process alone and
            # with numbers of its own: that is for `termination.came`.
            self._manager.reached_preemption = lambda step: False
        except OSError as error:
            raise self._cannot("write", error) from error

    def save(self, step: int, tree: Any, facts: dict[str, Any]) -> None:
        """Saves a copy of a tree of arrays, and a JSON object; returns early.

        Raises:
          DivergedError: the tree is not finite; nothing is saved.
          StorageError: this one or the one before can't be written.
        """
        self.newest = step
        # A copy: the device's memory is donated to the next step.
        tree = jax.tree.map(lambda x: np.array(x), tree)
        check_finite(tree, step)
        if self._manager is None:
            return
        checksums = {"tree": checksum(tree), "facts": checksum_json(facts)}
        arguments = ocp.args.Composite(
            tree=ocp.args.StandardSave(tree),
            facts=ocp.args.JsonSave({"facts": facts, "checksums": checksums}),
        )
        with self._writing():
            self._manager.save(step, args=arguments)
        if not self._proven:
            self._prove(step, tree)

    def _prove(self, step: int, tree: Any) -> None:
        """Reads the first of a start back: what a library says is written may not be.

        Raises:
          StorageError: it can't be read.
        """
        self.wait()
        try:
            with self._foreign_errors():
                _read(self._manager, step, tree, lambda facts: None)
        except _FILE_ERRORS as error:
            raise StorageError(
                f"the first checkpoint in {self._directory} was written, but can't be "
                f"read ({reason(error)}); use a --workdir in another place."
            ) from error
        self._proven = True

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with self._foreign_errors():
                yield
        except _FILE_ERRORS as error:
            raise self._cannot("write", error) from error

    def _foreign_errors(self):
        """Those of a bucket's client become an OSError."""
        return storage.system_errors(self._directory, (InputError, *_FILE_ERRORS))

    def wait(self) -> None:
        """Returns when what was saved is whole; StorageError if it can't be written."""
        if self._manager is not None:
            with self._writing():
                self._manager.wait_until_finished()

    def steps(self) -> list[int]:
        """What there is, of process 0."""
        return sorted(self._manager.all_steps()) if self._manager else []

    def forget_after(self, step: int) -> None:
        """Removes the checkpoints of later steps: a run goes on at an earlier one."""
        for later in (found for found in self.steps() if found > step):
            with self._writing():
                self._manager.delete(later)

    def restore(
        self,
        like: Any,
        check: Callable[[dict[str, Any]], None] = lambda facts: None,
        at_most: int | None = None,
    ) -> tuple[int, Any, dict[str, Any]] | None:
        """The newest checkpoint that can be read, or None if there is none yet.

        One that can't is set aside as DIRECTORY/STEP.unreadable, and said.

        Args:
          like: a tree of arrays of the same structure, shapes and dtypes.
          check: raises an InputError if the JSON object is of something else.
          at_most: one of no later step, if it can be read; what is later is removed.

        Raises:
          InputError: none of those that are there can be read, or `check` refused one.
          StorageError: the storage can't be read just now.
        """
        trees = []

        def read():
            found = self._newest(like, check, at_most)
            if found is None:
                return None
            step, tree, facts = found
            trees.append(tree)
            return step, facts

        found = distributed.from_primary(read)
        if found is None:
            return None
        self.newest, facts = found
        tree = distributed.share(trees[0] if trees else None, like)
        return self.newest, tree, facts

    def _newest(
        self, like: Any, check, at_most: int | None
    ) -> tuple[int, Any, dict[str, Any]] | None:
        steps = self.steps()[::-1]
        if at_most is not None:  # Of either kind the newest first.
            steps.sort(key=lambda step: step > at_most)
        for step in steps:
            try:
                with self._foreign_errors():
                    found = _read(self._manager, step, like, check)
                if at_most is not None:
                    self.forget_after(step)
                return step, *found
            except InputError:
                raise
            except _FILE_ERRORS as error:
                cause = system_error(error)
                if cause and not isinstance(cause, _MISSING):
                    raise self._cannot("read", error) from error
                problem = str(error).split("\n")[0][:200]
            logging.warning(
                "checkpoint %s/%d is unreadable (%s); falling back to the one before.",
                self._directory,
                step,
                problem,
            )
            self._set_aside(step)
        if any(".unreadable" in name for name in storage.names_in(self._directory)):
            raise InputError(
                f"none of the checkpoints in {self._directory} can be read; restore "
                "them from the *.unreadable folders there, or remove these to begin at "
                "step 0."
            )
        return None

    def _set_aside(self, step: int) -> None:
        self._manager.close()
        aside, count, names = f"{step}.unreadable", 1, storage.names_in(self._directory)
        while aside in names:
            aside, count = f"{step}.unreadable{count}", count + 1
        storage.rename(self._directory / str(step), self._directory / aside)
        self._open()

    def close(self) -> None:
        """Waits until everything is written.

        Raises:
          StorageError: the last one can't be written.
        """
        if self._manager is not None:
            with self._quiet, self._writing():
                self._manager.wait_until_finished()
                self._manager.close()

    def _cannot(self, what: str, error: Exception) -> StorageError:
        return StorageError(
            f"cannot {what} the checkpoints in {self._directory} ({reason(error)}); "
            "mend that, and the same command goes on at the last whole one."
        )


def _options(**more) -> ocp.CheckpointManagerOptions:
    """Process 0 waits for no other one."""
    alone: dict[str, Any] = {}
    if jax.process_count() > 1:
        alone = {"primary_host": 0, "active_processes": {0}}
        alone["barrier_sync_key_prefix"] = "primary"
    processes = ocp.options.MultiprocessingOptions(**alone)
    return ocp.CheckpointManagerOptions(
        create=False, multiprocessing_options=processes, **more
    )


def _read(manager, step: int, like: Any, check) -> tuple[Any, dict[str, Any]]:
    """A checkpoint's tree and its JSON object, if they are what was saved."""
    # First what it is of: another's tree may have other shapes.
    arguments = ocp.args.Composite(facts=ocp.args.JsonRestore())
    stored = manager.restore(step, args=arguments)["facts"]
    facts, checksums = stored["facts"], stored["checksums"]
    if checksums["facts"] != checksum_json(facts):
        raise ValueError("the checksum of its facts is another")
    check(facts)
    like = jax.tree.map(lambda x: np.zeros(np.shape(x), x.dtype), like)
    arguments = ocp.args.Composite(tree=ocp.args.StandardRestore(like))
    tree = manager.restore(step, args=arguments)["tree"]
    if checksums["tree"] != checksum(tree):
        raise ValueError("the checksum of its arrays is another")
    return tree, facts


def read_step(
    directory: str | os.PathLike,
    step: int,
    like: Any,
    check: Callable[[dict[str, Any]], None],
) -> Any:
    """The tree of one checkpoint of a run that is over, in process 0 alone; read only.

    Args:
      directory: of its checkpoints.
      step: whose checkpoint to read.
      like: a tree of arrays, or of their shapes and dtypes.
      check: raises an InputError if the JSON object is of something else.

    Raises:
      InputError: there is no such checkpoint, it can't be read, or `check` refused it.
    """
    directory = storage.literal(directory)
    # Not `read_only`, of which Orbax warns that it is.
    options = _options()
    errors = storage.system_errors(directory, (InputError, *_FILE_ERRORS))
    try:
        with (
            quiet(),
            errors,
            ocp.CheckpointManager(directory, options=options) as manager,
        ):
            return _read(manager, step, like, check)[0]
    except InputError:
        raise
    except _FILE_ERRORS as error:
        raise InputError(
            f"checkpoint {directory}/{step} cannot be read ({reason(error)}); restore "
            "it."
        ) from error


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
