"""Figures as files, and as pixels."""

import io
import os

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ifnas_jax import storage
from ifnas_jax.errors import InputError


def save_figure(figure: Figure, path_without_suffix: str | os.PathLike) -> None:
    """Writes a figure as `.svg` and as `.png`; afterwards its layout is fixed."""
    # Laid out once, not for each file again.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for suffix in (".svg", ".png"):
        save_as(figure, f"{os.fspath(path_without_suffix)}{suffix}")


def save_as(figure: Figure, path: str | os.PathLike) -> None:
    """Writes a figure to one file; an SVG is the same bytes each time.

    Raises:
      InputError: the suffix is neither `.svg` nor `.png`.
      OSError: the file can't be written.
    """
    path = os.fspath(path)
    suffix = os.path.splitext(path)[1]
    if suffix not in (".svg", ".png"):
        raise InputError(
            f"figure {path!r} ends in {suffix or 'nothing'!r}; end its name in .svg or "
            ".png."
        )
    # Ids from a fixed salt and no date, so that equal figures are equal files; text
    # as paths, so that they look the same wherever they are opened.
    options = {"svg.hashsalt": "ifnas", "svg.fonttype": "path"}
    metadata = {"Date": None} if suffix == ".svg" else {}
    with matplotlib.rc_context(options):
        image = io.BytesIO()
        figure.savefig(
            image, format=suffix[1:], dpi=200, metadata=metadata, facecolor="white"
        )
    storage.write_bytes(path, image.getvalue())


def pixels(figure: Figure) -> np.ndarray:
    """A figure as an image, uint8 [height, width, 3]."""
    figure.set_dpi(160)
    figure.set_facecolor("white")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[:, :, :3]
