"""Writes what an experiment shows: tables in every form, figures, raw results."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from ifnas_jax import files, storage
from ifnas_jax.experiments import tables
from ifnas_jax.experiments.results import Results, distinct
from ifnas_jax.experiments.tables import Table
from ifnas_jax.report.files import save_as
from ifnas_jax.report.progress import countdown


def provenance(results: Results, data: str, command: str, left: int) -> list[str]:
    """What is to be known of all tables, in lines.

    Args:
      results: what they are of.
      data: what the data set is called.
      command: that made them.
      left: cells that have not been run.
    """
    machines = [row["machine"] for row in results.rows]
    devices = distinct(f"{own['device']}, {own['cores']} cores" for own in machines)
    versions = distinct(f"JAX {own['jax']}, Python {own['python']}" for own in machines)
    seeds = sorted({row["seed"] for row in results.rows})
    lines = [
        f"data: {data}; scale: {results.scale}; seeds: {_listed(seeds)}",
        f"device: {'; '.join(devices)}; {'; '.join(versions)}",
        f"commits: {', '.join(distinct(own['commit'] for own in machines))}",
        f"time of all cells: {countdown(results.seconds())}; command: {command}",
    ]
    other = sum(not _of_now(row, results) for row in results.rows)
    if other:
        lines.append(f"{other} cells were run where the data set had other defaults.")
    if left:
        lines.append(
            f"NOT RUN YET: {left} cells; what they would add is missing above."
        )
    return [*lines, *(f"failed: {text}" for text in results.failures())]


def _of_now(row: Mapping[str, Any], results: Results) -> bool:
    """Whether a cell's defaults are today's; an early one does not say."""
    now = results.setting(row["setting"]).defaults
    return row.get("defaults", now) == now


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds)) or "none"


def show(shown: Sequence[Table], lines: Sequence[str]) -> None:
    """Prints the tables, and what is to be known of them."""
    for table in shown:
        print(f"\n{tables.plain(table)}")
    print("\n" + "\n".join(lines))


def write(
    folder: str,
    name: str,
    shown: Sequence[Table],
    figures: Mapping[str, Figure],
    lines: Sequence[str],
    raw: Mapping[str, Any],
) -> list[str]:
    """Writes all files of an experiment, and returns their paths.

    Args:
      folder: that they go to.
      name: of the experiment, and the beginning of their names.
      shown: its tables.
      figures: by their names.
      lines: of `provenance`.
      raw: what the JSON has besides the tables.
    """
    storage.make_folder(folder)
    markdown = "\n\n".join(map(tables.markdown, shown))
    notes = "\n".join(f"- {line}" for line in lines)
    comments = "\n".join(f"% {line}" for line in lines)
    texts = {
        f"{name}.md": f"{markdown}\n\n{notes}\n",
        f"{name}.tex": "\n\n".join(map(tables.latex, shown)) + f"\n\n{comments}\n",
    }
    for number, table in enumerate(shown, start=1):
        texts[f"{name}-{number}.csv"] = tables.comma_separated(table)
    written = []
    for file, text in texts.items():
        written.append(os.path.join(folder, file))
        storage.write_text(written[-1], text)
    for title, figure in figures.items():
        written.append(os.path.join(folder, f"{title}.svg"))
        save_as(figure, written[-1])
    written.append(os.path.join(folder, f"{name}.json"))
    told = [{**own._asdict(), "rows": [list(x) for x in own.rows]} for own in shown]
    files.write_json(written[-1], {**raw, "tables": told})
    return written
