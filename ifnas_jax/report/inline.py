"""Figures as SVG inside a page: in its font, and in colours that follow its scheme."""

import colorsys
import html
import io
import math
import re
from typing import NamedTuple

import matplotlib
from matplotlib.figure import Figure

# What matplotlib puts around a drawing, or repeats in each, and a page has no need of.
_SURPLUS = re.compile(
    r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->|<defs>\s*</defs>", re.S
)
_FONT = re.compile(r"(font-family:|font: [^;\"]*?[\d.]+px) [^;\"]*")
_COLOR = re.compile(r"#([0-9a-f]{6})(?=[;\"])")
_USED = re.compile(r"var\(--c([0-9a-f]{6})\)")
_DIGITS = re.compile(r"(\d\.\d\d)\d+")

CARD = "#1c1c1c"  # what is white on a light page, on a dark one
_LIGHTEST = 0.87  # luminance on a dark page, which white would dazzle

_SIZE = re.compile(r"font(?:-size)?: (?:[^;\"]* )?([\d.]+)px")
_READABLE = 9.3  # CSS pixels of the smallest text, of which a screen may round some off
_LARGEST = 1.25  # of a figure's natural size, where there is room


class Drawing(NamedTuple):
    """An `<svg>` element, and the CSS pixels of width below which it can't be read."""

    svg: str
    least: int


def inline(figure: Figure, name: str, label: str) -> Drawing:
    """A figure as an `<svg>` element, no narrower than its texts can be read.

    Args:
      figure: drawn with matplotlib.
      name: of the figure, which no other one of the page has.
      label: what it shows, for who can't see it.
    """
    buffer = io.StringIO()
    # Text stays text: it is smaller, can be searched, and is read aloud.
    options = {"svg.hashsalt": "ifnas", "svg.fonttype": "none"}
    with matplotlib.rc_context(options):
        figure.savefig(buffer, format="svg", facecolor="none", metadata={"Date": None})
    head, drawing = re.search(r"<svg([^>]*)>(.*)", buffer.getvalue(), re.S).groups()
    box = re.search(r'viewBox="([^"]*)"', head)[1]
    width = float(box.split()[2])
    drawing = _SURPLUS.sub("", drawing)
    drawing = _FONT.sub(r"\1 DejaVu Sans, Verdana, sans-serif", drawing)
    drawing = _DIGITS.sub(r"\1", drawing)
    # Ids that the page's other figures have too.
    drawing = re.sub(r'id="', f'id="{name}-', drawing)
    drawing = re.sub(r'(url\(|href=")#', rf"\1#{name}-", drawing)
    drawing = _COLOR.sub(r"var(--c\1)", drawing)
    drawing = re.sub(r"\s*\n\s*", "\n", drawing)
    least = math.ceil(_READABLE / min(map(float, _SIZE.findall(drawing))) * width)
    style = f"max-width:{_LARGEST * width:.0f}pt;min-width:{least}px"
    svg = (
        f'<svg role="img" aria-label="{html.escape(label)}" viewBox="{box}" '
        f'style="{style}">{drawing}'
    )
    return Drawing(svg, least)


def scheme(body: str) -> tuple[str, str]:
    """CSS variables of the colours that a page's figures use: light, and dark."""
    colors = sorted(set(_USED.findall(body)))
    light = "".join(f"--c{color}:#{color};" for color in colors)
    dark = "".join(f"--c{color}:{darkened('#' + color)};" for color in colors)
    return light, dark


def darkened(color: str) -> str:
    """The colour that stands out from a dark card as "#rrggbb" does from a white one.

    The hue is the same. The contrast is a little higher, since what is dark on dark is
    harder to see, up to a limit.
    """
    hue, _, saturation = colorsys.rgb_to_hls(*_parts(color))
    # Contrast is (lighter + 0.05) / (darker + 0.05).
    offset = 0.05
    contrast = (1 + offset) / (_luminance(_parts(color)) + offset)
    contrast += 1.5 * (1 - 1 / contrast)
    wanted = contrast * (_luminance(_parts(CARD)) + offset) - offset
    wanted = min(wanted, _LIGHTEST)
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        if _luminance(colorsys.hls_to_rgb(hue, middle, saturation)) < wanted:
            low = middle
        else:
            high = middle
    parts = colorsys.hls_to_rgb(hue, high, saturation)
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)


def _parts(color: str) -> tuple[float, float, float]:
    """Red, green and blue of "#rrggbb", in [0, 1]."""
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def _luminance(parts: tuple[float, float, float]) -> float:
    """Relative luminance, by the Web Content Accessibility Guidelines."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
