"""`report/index.html`: a run on one page, from the files in its workdir.

The page is no part of what equal runs have in common to the byte: it says when it was
written, on what, and how long things took.
"""

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from ifnas_jax import storage
from ifnas_jax.report import curves, document, drawing, why
from ifnas_jax.report.document import (
    details,
    facts,
    figures,
    paragraph,
    section,
    table,
    text,
)
from ifnas_jax.report.inline import inline
from ifnas_jax.report.run import Run, edges_of, name_of, space_name
from ifnas_jax.report.tables import millions
from ifnas_jax.run.result import FIVE

# Seconds after which the page of a run that goes on is loaded again.
REFRESH = 30

_MET = {
    "pruning": "met by pruning",
    "fallback": "met by removing the weakest after the search",
    "drawing": "met by drawing",
}


def write_page(run: Run, machine: Mapping[str, Any] | None = None) -> str:
    """Writes `report/index.html`, whole or not at all.

    Args:
      run: what its files hold.
      machine: "versions" and "devices", as in a result; if not given, the result's.

    Returns:
      The path.

    Raises:
      OSError: it can't be written.
    """
    storage.make_folder(run.workdir.report)
    path = run.workdir.page
    storage.write_text(path, make_page(run, machine or run.result or {}))
    return path


def make_page(run: Run, machine: Mapping[str, Any]) -> str:
    """The page's HTML."""
    config = run.config
    title = f"{name_of(run)}: {config['method']} on {config['dataset.name']}"
    body = [
        _head(run, title),
        section("Result" if run.finished else "So far", facts(_facts(run))),
        _architecture(run),
        why.kept(run),
        why.gates_over_time(run),
        _cost(run),
        _training(run),
        why.removed(run),
        _config(run),
        _machine(machine),
        "<footer>Made of the files in the workdir by <code>python -m ifnas_jax.report"
        "</code>; the figures are beside it as SVG and PNG once the run is done."
        "</footer>",
    ]
    refresh = None if run.finished else REFRESH
    return document.document(title, "\n".join(filter(None, body)), refresh)


def _head(run: Run, title: str) -> str:
    config = run.config
    about = (
        f"{space_name(run.space)}; seed {config['seed']}; "
        f"jobs: {', '.join(map(str, config['jobs']))}"
    )
    state, bar = f'<p><span class="state">{text(run.state)}</span></p>', ""
    if not run.finished:
        bar = f'<progress max="1" value="{run.share:.3f}">{run.share:.0%}</progress>'
        ends = "" if run.found else "The search ends when its target is met, if not at "
        ends += "" if run.found else "its last epoch. "
        bar += paragraph(
            f"{ends}This page loads itself again every {REFRESH} seconds.", "soft"
        )
    written = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    return "\n".join(
        [
            f"<header><h1>{text(title)}</h1>",
            paragraph(about, "soft"),
            state,
            bar,
            paragraph(f"Written {written}.", "soft") + "</header>",
        ]
    )


def _facts(run: Run) -> Iterable[tuple[str, str, str]]:
    """What a run came to, or has come to: (name, value, remark)."""
    result, last = run.result or {}, (run.retrain or run.search or [{}])[-1]
    if result.get("top1") is not None:
        where = f"{_tested(result)}, after the last epoch"
        yield "top-1", f"{100 * result['top1']:.2f} %", where
        if run.config["dataset.num_classes"] > FIVE:
            yield "top-5", f"{100 * result['top5']:.2f} %", where
    elif "loss" in last:
        what = "retraining" if run.retrain else "search"
        yield "loss", f"{last['loss']:.3f}", f"of the {what}, at step {last['step']}"
        yield "accuracy", f"{100 * last['accuracy']:.1f} %", "on training batches"
    yield from _measured(run)
    target, met = run.config["target_madds"], _MET.get(result.get("target_met_by"), "")
    if run.found is not None:
        found = run.found.cost()
        aim = f"target {millions(target, 2)}" + (f", {met}" if met else "")
        yield "MAdds", millions(found.madds, 2), aim
        yield "parameters", millions(found.params, 3), ""
        yield "depth", str(run.found.depth()), ""
        yield "connections", str(edges_of(run.found)), f"of {run.space.num_edges}"
    elif run.search:
        last = run.search[-1]
        yield "MAdds left", millions(last["madds"], 2), f"target {millions(target, 2)}"
        yield "depth", str(last["depth"]), ""
        yield "connections", str(last["edges"]), f"of {run.space.num_edges}"
    else:
        yield "MAdds", "-", f"target {millions(target, 2)}"
    for key, name in (("search", "search"), ("retrain", "retraining")):
        seconds = result.get(f"{key}_seconds")
        if seconds:  # An architecture that is drawn takes none.
            yield name, duration(seconds), ""
    if result.get("compile_seconds"):
        yield "compiling", duration(result["compile_seconds"]), ""
    if result.get("skipped_images"):
        yield "skipped", str(result["skipped_images"]), "images that are not whole"


def _tested(result: Mapping[str, Any]) -> str:
    split = result.get("test_split", "test")
    return "on the test part" if split == "test" else f"on the part '{split}'"


def _measured(run: Run) -> Iterable[tuple[str, str, str]]:
    """The newest accuracies that are measured now and then."""
    for rows, key, name in (
        (run.search, "valid_accuracy", "validation"),
        (() if run.finished else run.retrain, "test_top1", "test, top-1"),
    ):
        own = [row for row in rows if row.get(key) is not None]
        if own:
            remark = f"of the {'super-network' if key[0] == 'v' else 'network'}, "
            remark += f"at step {own[-1]['step']}"
            yield name, f"{100 * own[-1][key]:.1f} %", remark


def duration(seconds: float) -> str:
    """As 41 s, 3:05 min or 2:05 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def _architecture(run: Run) -> str:
    retained = run.retained()
    if retained is None:
        return section(
            "Architecture",
            paragraph("Nothing has been removed yet: every connection is there.")
            if run.search
            else "",
        )
    if run.found is not None:
        caption = "The network that was found."
    else:
        caption = f"What is left of the space at step {run.gates[-1]['step']}."
    caption += " A column is read downwards from its input; a dashed circle is a node "
    caption += "that nothing reads any more."
    strengths = why.strengths(run)
    if strengths:
        caption += " The thicker a line, the more open its connection's gate g(β)"
        caption += " at the end." if run.found is not None else " is."
    figure = drawing.draw_architecture(retained, gates=strengths)
    svg = inline(figure, "architecture", caption)
    madds = table(why.parts(retained), ("part", "MAdds", "share"))
    return section("Architecture", figures([(svg, caption)]), madds)


def _cost(run: Run) -> str:
    if not run.search:
        return ""
    target = run.config["target_madds"]
    figure = curves.draw_cost(run.search, run.prunings, target)
    caption = "What is left of the space, and what it would cost when retrained."
    drawn = inline(figure, "cost", "MAdds, edges and depth over the steps")
    return section("MAdds, connections and depth", figures([(drawn, caption)]))


def _training(run: Run) -> str:
    drawings = []
    for name, caption, rows in (
        ("search", "The super-network", (run.search, ())),
        ("retrain", "The network that was found, from scratch", ((), run.retrain)),
    ):
        if any(rows):
            figure = curves.draw_training(*rows)
            label = f"Loss and accuracy over the steps: {caption}"
            drawings.append((inline(figure, name, label), f"{caption}."))
    return section("Training", figures(drawings) if drawings else "")


def _config(run: Run) -> str:
    rows = [
        (field, json.dumps(value, ensure_ascii=False))
        for field, value in sorted(run.config.items())
    ]
    inner = table(rows, ("field", "value"), kind="wide")
    return section("Configuration", details(f"{len(rows)} fields, as resolved", inner))


def _machine(machine: Mapping[str, Any]) -> str:
    devices, versions = machine.get("devices"), machine.get("versions")
    if not isinstance(devices, Mapping) or not isinstance(versions, Mapping):
        words = "They are in result.json once the run is done."
        return section("Hardware and versions", paragraph(words, "soft"))
    rows = [*devices.items(), *versions.items()]
    return section("Hardware and versions", table(rows, ("item", "value"), kind="wide"))
