"""What a search goes on from: its checkpoints, and what is in them."""

from typing import Any, NamedTuple

import jax
import numpy as np

from ifnas_jax.architecture import from_kept
from ifnas_jax.architecture.masks import Kept
from ifnas_jax.methods.interface import Gates
from ifnas_jax.methods.regularizer import Strength
from ifnas_jax.runtime.checkpoint import Checkpoints
from ifnas_jax.searching.step import Search, State, initial_state


class Progressed(NamedTuple):
    """What changes on the host, between loops."""

    kept: Kept
    strength: Strength
    seconds: float
    compile_seconds: float


def save(job: Search, checkpoints: Checkpoints, state: State, host, rows) -> None:
    """Saves what a search goes on from, and what it has found, as JSON."""
    facts = host._asdict()
    kept = facts.pop("kept")
    gates = job.method.gates(jax.device_get(state.arch), kept)
    facts |= {"rows": rows, "found": _found(job, kept, gates)}
    tree = {"state": state._asdict(), "kept": kept}
    checkpoints.save(int(state.step), tree, facts)


def _found(job: Search, kept: Kept, gates: Gates) -> dict[str, Any]:
    """The retained architecture and every surviving gate, readable without code."""
    operators, stages = job.net.space.operators, []
    for on, beta, alpha in zip(kept, gates.beta, gates.alpha, strict=True):
        stages.append(
            [
                {
                    "src": int(row - place),
                    "dst": int(row + 1),
                    "gate": float(beta[row, place]),
                    "ops": {
                        operators[o]: float(alpha[row, place, o])
                        for o in np.flatnonzero(on[row, place])
                    },
                }
                for row, place in np.argwhere(on.any(axis=2))
            ]
        )
    architecture = from_kept(job.net.space, kept, job.macro)
    return {"architecture": architecture.to_json(), "gates": stages}


def restore(checkpoints: Checkpoints, job: Search, at_most: int | None = None):
    """The state, what the host knows, and the metrics since the last row of the log.

    Of the newest checkpoint, or of the beginning; of no later step than `at_most`, if
    that can be.
    """
    state, kept = initial_state(job), job.net.space.full()
    like = {"state": state._asdict(), "kept": kept}
    restored = checkpoints.restore(like, at_most=at_most)
    if restored is None:
        return state, Progressed(kept, job.method.strength, 0.0, 0.0), []
    _, tree, facts = restored
    host = Progressed(
        kept=tuple(tree["kept"]),
        strength=Strength(*facts["strength"]),
        seconds=facts["seconds"],
        compile_seconds=facts["compile_seconds"],
    )
    return State(**tree["state"]), host, facts["rows"]
