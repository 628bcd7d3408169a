"""Figures of single searches: of what was found (4 and 5), and of gates (6)."""

from matplotlib.figure import Figure

from ifnas_jax.experiments import runs, table4
from ifnas_jax.experiments.results import Results
from ifnas_jax.experiments.settings import Setting
from ifnas_jax.experiments.tables import Table
from ifnas_jax.report.drawing import draw_architecture
from ifnas_jax.report.gates import draw_gates
from ifnas_jax.report.run import read_run


def settings(base, *labels: str) -> list[Setting]:
    """Those of Table 4 with these labels."""
    return [own for own in table4.settings(base) if own.label in labels]


def tables(results: Results, title: str) -> list[Table]:
    """What was found, as in Table 4."""
    return [runs.table(title, results)]


def architectures(results: Results, name: str) -> dict[str, Figure]:
    """A figure for each seed of the first setting: the network at the target."""
    label, found = results.labels[0], {}
    what = results.setting(label).networks[-1]
    for row in results.of(label):
        network = results.architecture(row, what)
        title = f"{label}, seed {row['seed']}, depth {network.depth()}"
        found[f"{name}-seed-{row['seed']}"] = draw_architecture(network, title)
    return found


def gates(results: Results, name: str) -> dict[str, Figure]:
    """Gates over time of the first seed of each setting, where its run is kept."""
    found = {}
    for label in results.labels:
        for row in results.of(label)[:1]:
            workdir = results.place.run(results.cell(label, row["seed"]))
            try:
                rows = read_run(workdir).gates
            except ValueError:  # Its cell is from elsewhere.
                continue
            kind = "with" if label == "w/ IF" else "without"
            found[f"{name}-{kind}"] = draw_gates(rows)
    return found
