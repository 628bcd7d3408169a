"""What interleaved connections do to one node's gates (Figures 1 and 8 of the paper).

No search method is at work. The network is a plain chain; node 8 of its middle stage
has the candidates pre-1, pre-3 and pre-6. After epochs of the weights alone, the gates
of these three edges move with the weights; nothing else of the architecture does. Then
the same with connections that interleave with them, of constant weight: (3, 7); (1, 4)
and (3, 7); (1, 4), (2, 6) and (3, 7). There is no penalty and nothing is pruned.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax import jobs, training
from ifnas_jax.architecture import masks
from ifnas_jax.errors import DivergedError, PreemptedError
from ifnas_jax.experiments import runs
from ifnas_jax.experiments.cells import Place
from ifnas_jax.experiments.settings import STUDY, Cell, Setting
from ifnas_jax.experiments.tables import Table, number, spread
from ifnas_jax.experiments.verdicts import Claim, claims_table
from ifnas_jax.report.progress import Progress
from ifnas_jax.runtime import termination
from ifnas_jax.searching.make import make_search
from ifnas_jax.searching.step import initial_state, make_batches, make_step
from ifnas_jax.spaces.graph import Edge, Space

NODE, CANDIDATES, STAGE = 8, (1, 3, 6), 1
ADDED = ((), ((3, 7),), ((1, 4), (3, 7)), ((1, 4), (2, 6), (3, 7)))

# Epochs of the weights alone, and of the gates too. The paper has 20 of the former.
_EPOCHS = {"paper": (20.0, 20.0), "gpu": (2.0, 2.0), "proxy": (2.0, 2.0)}
_COLOURS = ("#440154", "#21918c", "#bddf26")
# The smallest difference of two gates that would matter; the paper's is some 0.4.
_MATTERS = 0.1


def label_of(added: Sequence[Edge]) -> str:
    """Of a setting."""
    return f"added: {', '.join(map(str, added)) or 'none'}"


def settings(base: Callable[..., ConfigDict], **fields) -> list[Setting]:
    """One for each set of connections that are added."""
    scale = runs.scale_of(base)
    weights, gates = _EPOCHS[scale]
    if scale == "proxy":
        # No more than the study needs.
        fields["space__nodes"] = (1, 9, 1)
    if scale != "paper":
        fields["search__arch_learning_rate"] = 0.1  # The paper's.
    config = base(
        space="lchain6",
        method="dnas",
        derive="keep1",
        search__weights_epochs=weights,
        search__beta_epochs=gates,
        search__alpha_epochs=0.0,
        search__max_epochs=weights + gates + 1,
        **fields,
    )
    return [
        Setting(
            label_of(added),
            config,
            study=functools.partial(study, added=added),
            variant=f"node-{len(added)}",
        )
        for added in ADDED
    ]


def study(cell: Cell, place: Place, added: Sequence[Edge]) -> dict[str, Any]:
    """Trains the chain; the three gates at a hundred moments, or less."""
    del place  # Nothing is kept of it but what is returned.
    config = cell.setting.with_seed(cell.seed, ("search",))
    config_lib.resolve(config, None)
    dataset = jobs.open_data(config, resumed=False)
    job = make_search(config, dataset)
    # All steps have the same masks, so a loop has one.
    job = job._replace(schedule=job.schedule._replace(positions=1, first=0))
    state, mu = initial_state(job), np.zeros(2, np.float32)
    batches = training.ShardedBatches(make_batches(config, dataset, 0, 0))
    total, rows = job.schedule.alpha, []
    every = max(1, total // 100)
    try:
        step_masks = study_masks(job.net.space, added)
        arguments = state, step_masks, mu, batches.peek()
        step, _ = training.compile_step(make_step(job), arguments)
        step_masks = training.place(step_masks)
        with Progress(cell.setting.label, total) as progress:
            for count in range(1, total + 1):
                state, _ = step(state, step_masks, mu, next(batches))
                progress.update(count)
                if termination.came():
                    raise PreemptedError
                if count % every == 0 or count == total:
                    rows.append({"step": count, "gates": _gates(state)})
    finally:
        batches.close()
    return {"begin": job.schedule.beta, "rows": rows}


def study_masks(space: Space, added: Sequence[Edge]) -> masks.Masks:
    """The chain, node 8's candidates and what is added, once for all steps."""
    kept = [np.zeros_like(stage) for stage in space.full()]
    for stage in kept:
        stage[:, 0] = True
    middle = kept[STAGE]
    for distance in CANDIDATES:
        middle[NODE - 1, distance - 1] = True
    for src, dst in added:
        middle[dst - 1, dst - src - 1] = True
    whole = masks.whole(tuple(kept), learned=False)
    whole[STAGE].learned[NODE - 1] = True
    return masks.stack([whole])


def _gates(state) -> list[float]:
    """g(β) of the node's candidates."""
    beta = np.asarray(jax.device_get(state.arch["beta"][STAGE]), np.float64)
    if not np.isfinite(beta).all():
        raise DivergedError("the loss is not finite; lower search.learning_rate.")
    logits = beta[NODE - 1, [distance - 1 for distance in CANDIDATES]]
    return [round(float(1 / (1 + np.exp(-x))), 5) for x in logits]


def tables(results) -> list[Table]:
    """The gates at the end, and the two claims."""
    rows, last = [], {}
    for added in ADDED:
        label = label_of(added)
        own = [row["rows"][-1]["gates"] for row in results.of(label, STUDY)]
        last[added] = own
        best = sum(int(np.argmax(gates) == 0) for gates in own)
        least = sum(int(np.argmin(gates) == 0) for gates in own)
        columns = [
            spread([g[i] for g in own], number(3)) for i in range(len(CANDIDATES))
        ]
        rows.append([label, str(len(own)), *columns, str(best), str(least)])
    header = ["setting", "seeds", *(f"pre-{d}" for d in CANDIDATES)]
    header += ["pre-1 highest", "pre-1 lowest"]
    note = "g(β) of node 8 at the end: mean ± half of the 95 % interval, over seeds."
    first = Table("One node's gates", header, rows, note)
    none, three = last[ADDED[0]], last[ADDED[-1]]

    def claim(text: str, higher, lower) -> Claim:
        """Of two gates: (of which setting, which candidate)."""
        values = [[gates[index] for gates in own] for own, index in (higher, lower)]
        # Two gates of one network are no two samples.
        return Claim(text, *values, _MATTERS, number(3), paired=higher[0] is lower[0])

    told = [
        claim("nothing added: pre-1 over pre-3", (none, 0), (none, 1)),
        claim("nothing added: pre-1 over pre-6", (none, 0), (none, 2)),
        claim("three added: pre-3 over pre-1", (three, 1), (three, 0)),
        claim("three added: pre-6 over pre-1", (three, 2), (three, 0)),
        claim("pre-1 falls when three are added", (none, 0), (three, 0)),
    ]
    return [first, claims_table("Claims of Figures 1 and 8", told)]


def figure(results) -> Figure:
    """A panel for each setting, a line a candidate: thin for a seed, thick the mean."""
    drawing = Figure(figsize=(9.5, 2.6), layout="constrained")
    panels = drawing.subplots(1, len(ADDED), sharey=True)
    for axes, added in zip(panels, ADDED, strict=True):
        own = results.of(label_of(added), STUDY)
        axes.set_title(label_of(added), fontsize=8)
        axes.set_xlabel("step", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
        if not own:
            continue
        steps = [row["step"] for row in own[0]["rows"]]
        values = np.array([[row["gates"] for row in r["rows"]] for r in own])
        for index, color in enumerate(_COLOURS):
            for seed in values[:, :, index]:
                axes.plot(steps, seed, color=color, linewidth=0.5)
            mean = values[:, :, index].mean(axis=0)
            label = f"pre-{CANDIDATES[index]}"
            axes.plot(steps, mean, color=color, linewidth=1.8, label=label)
    panels[0].set_ylabel("g(β) of node 8", fontsize=8)
    for axes in [axes for axes in panels if axes.lines][:1]:
        axes.legend(fontsize=7, frameon=False)
    return drawing
