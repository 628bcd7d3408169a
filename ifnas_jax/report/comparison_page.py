"""Runs on one data set on one page."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from ifnas_jax.report import comparison, curves, document, drawing, gates
from ifnas_jax.report.document import details, figures, paragraph, section, table, text
from ifnas_jax.report.inline import inline
from ifnas_jax.report.run import Run, space_name


def make_page(runs: Sequence[Run]) -> str:
    """The page's HTML."""
    names = comparison.names_of(runs)
    count = f"{len(runs)} runs" if len(runs) > 1 else "1 run"
    spaces = [name for name in comparison.space_names(runs).values() if name]
    where = f"{len(spaces)} spaces" if spaces else space_name(runs[0].space)
    title = f"{count} in {where}"
    body = [
        f"<header><h1>{text(title)}</h1></header>",
        _numbers(runs),
        _gates(runs, names),
        _costs(runs, names),
        _architectures(runs, names),
        _differences(runs),
        "<footer>Made by <code>python -m ifnas_jax.compare</code> of the files in the "
        "runs' workdirs.</footer>",
    ]
    return document.document(title, "\n".join(filter(None, body)))


def _numbers(runs: Sequence[Run]) -> str:
    header, rows = comparison.run_rows(runs)
    if len(runs) == 1:
        return section("Results", table(rows, header))
    groups = comparison.make_groups(runs)
    names, grouped = comparison.group_rows(groups)
    about = (
        "Mean ± half of its 95 % interval (Student's) over the finished runs that "
        "differ in nothing but the seed. Accuracy is that of the retrained network on "
        "the test part, after the last epoch."
    )
    parts = [table(rows, header), paragraph(about, "soft"), table(grouped, names)]
    tested, differences = comparison.test_rows(groups)
    if differences:
        about = (
            "How much higher each number is than in the first row of the table above, "
            "with Welch's interval and a two-sided permutation test."
        )
        parts += [paragraph(about, "soft"), table(differences, tested)]
    return section("Results", *parts)


def _gates(runs: Sequence[Run], names: Sequence[str]) -> str:
    drawings = []
    for number, (run, name) in enumerate(zip(runs, names, strict=True)):
        if run.gates:
            caption = f"{name}: {run.config['method']}, seed {run.config['seed']}"
            figure = gates.draw_mean_gates(run.gates)
            label = f"Mean gates over steps: {caption}"
            drawings.append((figure, f"gates{number}", label, caption))
    if not drawings:
        return ""
    about = (
        "The mean of g(β) over all nodes that have the candidate, by its distance; one "
        "that was pruned counts as 0. Pre-1 is the node before."
    )
    return section("Gates over time", paragraph(about, "soft"), _alike(drawings))


def _alike(drawings: Sequence[tuple[Figure, str, str, str]]) -> str:
    """Figures on the same scales, each with its name, what it shows, and a caption."""
    curves.share_limits([figure for figure, *_ in drawings])
    return figures(
        (inline(figure, name, label), caption)
        for figure, name, label, caption in drawings
    )


def _costs(runs: Sequence[Run], names: Sequence[str]) -> str:
    drawings = []
    for number, (run, name) in enumerate(zip(runs, names, strict=True)):
        if run.search:
            target = run.config["target_madds"]
            figure = curves.draw_cost(run.search, run.prunings, target)
            label = f"MAdds, edges and depth over the steps: {name}"
            drawings.append((figure, f"cost{number}", label, name))
    return section("MAdds, connections and depth", _alike(drawings) if drawings else "")


def _architectures(runs: Sequence[Run], names: Sequence[str]) -> str:
    drawings, missing = [], []
    for number, (run, name) in enumerate(zip(runs, names, strict=True)):
        retained = run.retained()
        if retained is None:
            missing.append(name)
            continue
        caption = name if run.found else f"{name}, what is left so far"
        figure = drawing.draw_architecture(retained)
        drawn = inline(
            figure, f"architecture{number}", f"The architecture of {caption}"
        )
        drawings.append((drawn, caption))
    words = f"Nothing has been removed yet in {', '.join(missing)}." if missing else ""
    return section(
        "Architectures",
        figures(drawings) if drawings else "",
        paragraph(words, "soft") if words else "",
    )


def _differences(runs: Sequence[Run]) -> str:
    if len(runs) == 1:
        return ""
    header, rows = comparison.differences_table(runs)
    if not rows:
        words = "These runs differ in nothing but the seed, or what is done and logged."
        return section("Configurations", paragraph(words))
    inner = table(rows, header)
    count = f"{len(rows)} fields differ" if len(rows) > 1 else "1 field differs"
    line = f"{count}, besides the seed and what is done and logged"
    return section("Configurations", details(line, inner, opened=True))
