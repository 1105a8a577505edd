"""The building blocks of a model card: escaped text, tables, a drawn matrix, the page around them. Knows no model.

One file without anything from outside: no script, no font, no picture to fetch. Colours follow the reader's light or
dark; narrow screens scroll tables sideways, and print leaves the background out.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --paper: #ffffff; --panel: #f6f8fa;
  --accent: 9, 105, 218; --warn: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --paper: #0d1117;
  --panel: #151b23; --accent: 88, 166, 255; --warn: #d29922; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 52rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; padding-top: .6rem; border-top: 1px solid var(--line); }
p, li { overflow-wrap: anywhere; }
.lead { font-size: 1.1rem; }
.soft { color: var(--soft); }
.warn { border-left: 4px solid var(--warn); background: var(--panel); padding: .6rem .9rem; margin: .8rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .95rem; }
caption { text-align: left; color: var(--soft); padding-bottom: .4rem; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; min-width: 7rem; }
table.facts td { text-align: left; }
table.facts { table-layout: fixed; }
table.facts td { overflow-wrap: anywhere; }
table.facts th { text-align: left; width: 30%; min-width: 0; font-weight: 500; color: var(--soft); }
table.counts td { white-space: nowrap; }
svg { display: block; width: 100%; max-width: 40rem; height: auto; }
svg text { fill: var(--ink); font: 11px system-ui, sans-serif; }
footer { margin-top: 3rem; color: var(--soft); font-size: .9rem; }
@media print { body { font-size: 11pt; background: none; } main { max-width: none; padding: 0; }
  h2 { break-after: avoid; } tr, svg, .warn { break-inside: avoid; } .wide { overflow: visible; } }
"""

CELL, HEAD = 34, 110  # units of the drawing: a cell's side, the room for names
TAIL = 60  # room to the right for the slanting name of the last column
LONGEST_NAME = 16


def text(value: object) -> str:
    """Whatever comes from outside, made harmless in a page and in an attribute."""
    return html.escape(str(value), quote=True)


def page(title: str, body: Iterable[str]) -> str:
    """The whole file. `body` is markup, `title` plain text."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"  # even where escaping had a hole, nothing would run
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{text(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{"".join(body)}
</main>
</body>
</html>
"""


def section(title: str, *parts: str) -> str:
    """A heading and its parts, which are markup; nothing where all of them are empty."""
    content = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{text(title)}</h2>\n{content}\n</section>\n" if content else ""


def paragraph(words: str, *, kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f"<p{style}>{text(words)}</p>" if words else ""


def bullets(lines: Iterable[str]) -> str:
    entries = "".join(f"<li>{text(line)}</li>\n" for line in lines if line)
    return f"<ul>\n{entries}</ul>" if entries else ""


def facts(rows: Iterable[tuple[str, object]]) -> str:
    """Names and values; rows without a value are left out."""
    found = "".join(
        f'<tr><th scope="row">{text(name)}</th><td>{text(value)}</td></tr>\n'
        for name, value in rows
        if value not in (None, "")
    )
    return f'<div class="wide"><table class="facts">\n{found}</table></div>' if found else ""


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str = "") -> str:
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in columns)
    body = "".join(
        f'<tr><th scope="row">{text(first)}</th>{"".join(f"<td>{text(value)}</td>" for value in rest)}</tr>\n'
        for first, *rest in rows
    )
    said = f"<caption>{text(caption)}</caption>" if caption else ""
    whole = f'<table class="counts">{said}<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>'
    return f'<div class="wide" tabindex="0">{whole}</div>'


def matrix_drawing(labels: Sequence[str], matrix: Sequence[Sequence[int]], *, described: str) -> str:
    """Counts as shaded cells: rows are the truth, columns the answer; each row is shaded by its own total."""
    side = HEAD + CELL * len(labels)
    width = side + TAIL
    cells = "".join(
        _cell(row, column, count, sum(counts))
        for row, counts in enumerate(matrix)
        for column, count in enumerate(counts)
    )
    names = "".join(_name(place, label) for place, label in enumerate(labels))
    return (
        f'<svg viewBox="0 0 {width} {side}" role="img" aria-label="{text(described)}">'
        f"<title>{text(described)}</title>{names}{cells}</svg>"
    )


def _cell(row: int, column: int, count: int, total: int) -> str:
    left, top = HEAD + CELL * column, HEAD + CELL * row
    shade = round(0.6 * count / total, 3) if total else 0  # darker, and the number could not be read
    middle, base = left + CELL / 2, top + CELL / 2 + 4
    number = f'<text x="{middle}" y="{base}" text-anchor="middle">{count}</text>' if count else ""
    return (
        f'<rect x="{left}" y="{top}" width="{CELL - 1}" height="{CELL - 1}" '
        f'style="fill: rgba(var(--accent), {shade}); stroke: var(--line); stroke-width: .5"/>{number}'
    )


def _name(place: int, label: str) -> str:
    shown = label if len(label) <= LONGEST_NAME else f"{label[: LONGEST_NAME - 1]}…"
    middle = HEAD + CELL * place + CELL / 2
    return (
        f'<text x="{HEAD - 6}" y="{middle + 4}" text-anchor="end">{text(shown)}</text>'
        f'<text transform="translate({middle + 4} {HEAD - 6}) rotate(-60)">{text(shown)}</text>'
    )
