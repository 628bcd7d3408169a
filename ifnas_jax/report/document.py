"""A page as one HTML file: it fetches nothing, and needs no script to be read."""

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

from ifnas_jax.report import inline

# White, as figures have it, is the colour of cards.
_STYLE = """
:root{color-scheme:light dark;--page:#f3f4f6;--card:#fff;--ink:#1f2328;--soft:#5c6570;
--line:#d9dde3;--link:#0b5cad;LIGHT}
@media (prefers-color-scheme:dark){:root{--page:#121212;--card:CARD;--ink:#e7e7e7;
--soft:#a3a9b1;--line:#3a3d42;--link:#7cb7f0;DARK}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);line-height:1.45;
font-family:system-ui,sans-serif;overflow-wrap:anywhere}
main{max-width:76rem;margin:0 auto;padding:1.25rem .9rem 3rem}
h1{font-size:1.55rem;margin:.2rem 0}h2{font-size:1.15rem;margin:0 0 .6rem}
p{margin:.4rem 0}a{color:var(--link)}.soft{color:var(--soft)}
.state{display:inline-block;padding:.1rem .6rem;border:1px solid currentColor;
border-radius:1rem;font-size:.9rem}
progress{display:block;width:100%;max-width:24rem;height:.8rem;margin:.5rem 0;
accent-color:var(--link)}
section{background:var(--card);border:1px solid var(--line);border-radius:.6rem;
padding:.9rem;margin:1rem 0}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(8.6rem,1fr));
gap:.9rem;margin:0}
.facts dt{color:var(--soft);font-size:.85rem}
.facts dd{margin:0;font-size:1.3rem;font-variant-numeric:tabular-nums}
.facts small{display:block;font-size:.8rem;color:var(--soft)}
.figures{display:flex;flex-wrap:wrap;gap:1rem;justify-content:space-evenly}
figure{margin:0;flex:1 1 max(19rem,var(--least));max-width:100%;min-width:0;
container-type:inline-size}
.hint{margin:0;font-size:.85rem;color:var(--link);white-space:nowrap;overflow:hidden;
height:clamp(0px,(var(--least) - 100cqw)*99,1.5em)}
.scroll,figure div{overflow-x:auto;background:
linear-gradient(90deg,var(--card) 40%,transparent) 0 0/2.5rem 100% no-repeat local,
linear-gradient(270deg,var(--card) 40%,transparent) 100% 0/2.5rem 100% no-repeat local,
linear-gradient(90deg,var(--soft),transparent) 0 0/.6rem 100% no-repeat,
linear-gradient(270deg,var(--soft),transparent) 100% 0/.6rem 100% no-repeat}
figcaption{font-size:.88rem;color:var(--soft);text-align:center;margin-top:.3rem}
svg{display:block;width:100%;height:auto;margin:auto;fill:var(--ink)}
svg *{stroke-linejoin:round;stroke-linecap:butt}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.2rem .9rem .2rem 0;border-bottom:1px solid var(--line);
vertical-align:top;white-space:nowrap}
.wide td{white-space:normal}
@media (max-width:34rem){.flow thead{display:none}
.flow tr{display:block;border-bottom:1px solid var(--line);padding:.2rem 0}
.flow td{display:inline;border:0;padding:0 .4em 0 0;white-space:normal}
.flow td[data-name]:not(:empty)::before{content:attr(data-name)" "}}
details{border-top:1px solid var(--line);padding:.35rem 0}
summary{cursor:pointer}code{font-size:.92em}
footer{font-size:.85rem;color:var(--soft)}
"""

# Should a page ever name something to fetch, browsers would refuse it.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def document(title: str, body: str, refresh: int | None = None) -> str:
    """The whole file.

    Args:
      title: of the window.
      body: HTML.
      refresh: seconds after which browsers load the page again; None: they don't.
    """
    light, dark = inline.scheme(body)
    style = _STYLE.replace("LIGHT", light).replace("DARK", dark)
    style = style.replace("CARD", inline.CARD)
    again = f'<meta http-equiv="refresh" content="{refresh}">\n' if refresh else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'{again}<link rel="icon" href="data:,">\n<title>{text(title)}</title>\n'
        f"<style>{style}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n"
        "</html>\n"
    )


def text(value: Any) -> str:
    """A value as text, with nothing in it that HTML would take for its own."""
    return html.escape(str(value))


def section(title: str, *parts: str) -> str:
    """A card; nothing if it has no parts."""
    inner = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{text(title)}</h2>\n{inner}\n</section>" if inner else ""


def paragraph(words: str, kind: str = "") -> str:
    """A paragraph of plain text."""
    return f"<p{f' class={kind}' if kind else ''}>{text(words)}</p>"


def facts(items: Iterable[tuple[str, str, str]]) -> str:
    """A grid of (name, value, remark)."""
    entries = [
        f"<div><dt>{text(name)}</dt><dd>{text(value)}"
        + (f"<small>{text(remark)}</small>" if remark else "")
        + "</dd></div>"
        for name, value, remark in items
    ]
    return f'<dl class="facts">{"".join(entries)}</dl>'


def table(rows: Iterable[Sequence[Any]], header: Sequence[str], kind: str = "") -> str:
    """A table.

    Its cells may break anywhere if it is `wide`; of one that is to `flow` each row is a
    line of text on a phone, where cells that are numbers come with their column's name.
    """
    top = "".join(f'<th scope="col">{text(cell)}</th>' for cell in header)
    names = list(map(text, header)) if kind == "flow" else [""] * len(header)
    lines = "\n".join(
        "<tr>" + "".join(map(_cell, row, names)) + "</tr>" for row in rows
    )
    kind = f' class="{kind}"' if kind else ""
    return (
        f'<div class="scroll"><table{kind}><thead><tr>{top}</tr></thead>\n'
        f"<tbody>\n{lines}\n</tbody></table></div>"
    )


def _cell(value: Any, name: str) -> str:
    shown = text(value)
    number = re.fullmatch(r"\d[\d.e-]*[%M]?", shown)
    named = f' data-name="{name}"' if name and number else ""
    return f"<td{named}>{shown}</td>"


def figures(drawings: Iterable[tuple[inline.Drawing, str]]) -> str:
    """Drawings beside or below each other, each with a caption of plain text.

    A line above one, which shows itself only where there is less room, says to scroll.
    """
    items = []
    for drawing, caption in drawings:
        above = '<p class="hint">wider than the screen: scroll →</p>'
        below = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
        items.append(
            f'<figure style="--least:{drawing.least}px">{above}'
            f"<div>{drawing.svg}</div>{below}</figure>"
        )
    return '<div class="figures">' + "\n".join(items) + "</div>"


def details(summary: str, inner: str, opened: bool = False) -> str:
    """What unfolds under a line of plain text."""
    state = " open" if opened else ""
    return f"<details{state}><summary>{text(summary)}</summary>{inner}</details>"
