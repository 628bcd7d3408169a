"""Why each connection was kept, or removed: its gates, at the end and over time."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from ifnas_jax.architecture import Architecture, KeptEdge
from ifnas_jax.methods import METHODS
from ifnas_jax.report import gates
from ifnas_jax.report.document import details, figures, paragraph, section, table
from ifnas_jax.report.inline import inline
from ifnas_jax.report.run import Row, Run
from ifnas_jax.report.tables import madds_by_part, millions, stage_names

# Nodes up to which their panels are shown unfolded.
_FEW = 20

_REASONS = {
    "edge gate": "the connection's gate closed",
    "operator gate": "the operator's gate closed",
    "unread": "nothing reads its node any more",
    "weakest": "the weakest that was left",
}


def strengths(run: Run) -> list[np.ndarray] | None:
    """g(β) at the last loop's end, for each stage [N, L]; None without a search's.

    NaN where no connection was left.
    """
    if not run.gates:
        return None
    return [own[0] for own in gates.gate_arrays(run.gates[-1:])]


def parts(network: Architecture) -> list[tuple[str, str, str]]:
    """Where a network's MAdds go: rows of part, MAdds and share."""
    costs = madds_by_part(network)
    total = sum(costs.values())
    return [
        (name, millions(madds, 2), f"{madds / total:.1%}")
        for name, madds in costs.items()
    ]


def kept(run: Run) -> str:
    """The section of what the found network keeps: each connection with its gates."""
    last = strengths(run)
    if run.found is None or last is None:
        return ""
    names, folded = stage_names(run.space), []
    for index, stage in enumerate(run.found.stages):
        rows = [_kept_row(run, index, edge, last[index]) for edge in stage.edges]
        line = f"{names[index]}: {len(rows)} connections kept"
        header = ("connection", "g(β)", "share", "operators, g(α)", "others")
        folded.append(details(line, table(rows, header, kind="flow")))
    about = (
        "Gates at the end of the last loop. The share is that among the node's g(β); "
        "then what became of its other candidates."
    )
    method = METHODS.get(run.config["method"])  # none of one's own, not at hand
    if method and method.regularized:
        about += " A gate starts at 0.5; the regulariser closes what the loss does not "
        about += "open."
    return section("Why was it kept?", paragraph(about, "soft"), *folded)


def _kept_row(
    run: Run, index: int, edge: KeptEdge, beta: np.ndarray
) -> tuple[str, ...]:
    row, column = edge.dst - 1, edge.dst - edge.src - 1
    own = beta[row]
    alpha = run.gates[-1]["alpha"][index][row][column]
    values = dict(zip(run.space.operators, alpha, strict=True))
    operators = ", ".join(f"{op} {_value(values[op])}" for op in edge.ops)
    share = own[column] / np.nansum(own) if np.nansum(own) else np.nan
    return (
        _arrow(edge.src, edge.dst),
        _value(own[column]),
        "-" if np.isnan(share) else f"{share:.0%}",
        operators,
        ", ".join(_others(run, index, edge.dst, own)),
    )


def _others(run: Run, index: int, dst: int, beta: np.ndarray) -> list[str]:
    """What became of a node's candidates that the network does not read.

    Args:
      run: of it.
      index: of the stage.
      dst: the node.
      beta: its gates at the end, [L].
    """
    read = {dst - edge.src for edge in run.found.stages[index].inputs(dst)}
    steps = {
        dst - row["src"]: row["step"]  # of its last operator
        for row in run.prunings
        if (row["stage"], row["dst"]) == (index + 1, dst)
    }
    words = []
    for distance, gate in enumerate(beta.tolist(), start=1):
        if distance in read:
            continue
        if distance in steps:
            words.append(f"pre-{distance} gone at {steps[distance]}")
        elif not np.isnan(gate):  # a derivation that goes by the number of edges
            words.append(f"pre-{distance} not chosen, {_value(gate)}")
    return words


def _value(gate: float | None) -> str:
    return "-" if gate is None or np.isnan(gate) else f"{gate:.3g}"


def _arrow(src: int, dst: int) -> str:
    return f"{src} → {dst}".replace("-", "−")


def gates_over_time(run: Run) -> str:
    """The section of every node's gates."""
    if not run.gates:
        return ""
    arrays = gates.gate_arrays(run.gates)
    steps = np.array([row["step"] for row in run.gates])
    legend = gates.draw_legend(run.space.num_precursors)
    names = figures([(inline(legend, "gates", "What the lines are"), "")])
    few = sum(own.shape[1] for own in arrays) <= _FEW
    panels = []
    for number, (name, own) in enumerate(
        zip(stage_names(run.space), arrays, strict=True), start=1
    ):
        drawn = figures(_panels(steps, number, own))
        panels.append(details(f"{name}: {own.shape[1]} nodes", drawn, opened=few))
    about = (
        "g(β) of each candidate input of every node: pre-1 is the node before, and "
        "stands out most. A line ends in a cross where its connection was pruned."
    )
    return section("Gates over time", paragraph(about, "soft"), names, *panels)


def _panels(steps: np.ndarray, stage: int, values: np.ndarray) -> Iterator[tuple]:
    # Of one node each, so that a phone shows them below each other.
    for node in range(1, values.shape[1] + 1):
        figure = gates.draw_node(steps, values[:, node - 1], (stage, node))
        label = f"Gates over steps: stage {stage} node {node}"
        yield inline(figure, f"gates{stage}-{node}", label), ""


def removed(run: Run) -> str:
    """The section of removals, a list; the steps at which they were made unfold."""
    if not run.prunings:
        return ""
    names, epochs, events = stage_names(run.space), _epochs(run), []

    def event(row):
        return row["step"], bool(row.get("final"))

    for (step, final), own in itertools.groupby(run.prunings, event):
        rows = list(own)
        when = f"step {step}" + (f", epoch {epochs[step]}" if step in epochs else "")
        when = f"{when}, to meet the target after the search" if final else when
        operators = f"{len(rows)} operator{'s' if len(rows) > 1 else ''}"
        line = f"{when}: {operators} removed, {millions(rows[-1]['madds'], 2)} left"
        events.append(details(line, _removals(rows, names)))
    counts = f"{len(run.prunings)} operators were removed in {len(events)} prunings."
    return section("Prunings", paragraph(counts, "soft"), *events)


def _epochs(run: Run) -> dict[int, str]:
    """The epoch of each step that a row of metrics is of."""
    return {row["step"]: f"{row['epoch']:.2f}" for row in run.search}


def _removals(rows: Sequence[Row], names: Sequence[str]) -> str:
    return table(
        (
            (
                names[row["stage"] - 1] if row["stage"] <= len(names) else row["stage"],
                _arrow(row["src"], row["dst"]),
                row["op"],
                _REASONS.get(row["reason"], row["reason"]),
                _value(row.get("gate")),
                millions(row["madds"], 2),
            )
            for row in rows
        ),
        ("stage", "connection", "operator", "why", "gate", "MAdds left"),
        kind="flow",
    )
