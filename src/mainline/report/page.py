"""The full report as one HTML file: no script, nothing from another host, and all foreign text inert."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Mapping
from importlib import resources

from mainline.report import escape, markdown
from mainline.report.blocks import (
    Alert,
    Block,
    Bullets,
    Chart,
    Code,
    Details,
    Document,
    Link,
    Paragraph,
    Piece,
    Section,
    Strong,
    Table,
    Text,
)

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 280, 64, 44, 12  # of a drawn chart, in its own units
ALERTS = {"NOTE": "What to do", "WARNING": "Warning", "CAUTION": "Caution"}


def render(document: Document, plots: Mapping[str, bytes]) -> str:
    """The page. `plots`: SVG files by name, embedded as images, in which no script can run."""
    style = resources.files("mainline.report").joinpath("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    head = document.headline
    body = "\n".join(_section(section) for section in document.sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{html.escape(head.word)} · Mainline report</title>
<style>{style}</style>
</head>
<body>
<header class="verdict {head.colour}">
<p class="word">{html.escape(head.word)}</p>
<h1>{_prose(head.reason)}</h1>
</header>
<main>
{body}
{_plots(plots)}</main>
</body>
</html>
"""


def _section(section: Section) -> str:
    inner = "\n".join(_block(block) for block in section.blocks)
    title = f"<h2>{html.escape(section.title)}</h2>\n" if section.title else ""
    return f"<section>\n{title}{inner}\n</section>" if inner else ""


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            return f"<p>{_inline(block.text)}</p>"
        case Bullets():
            return _bullets(block.items)
        case Table():
            return _table(block)
        case Chart():
            return _chart(block)
        case Alert():
            if not block.items:
                return ""
            title = f"<p><strong>{ALERTS[block.kind]}</strong></p>"
            return f'<aside class="{block.kind.lower()}">{title}{_bullets(block.items)}</aside>'
        case Details():
            inner = "\n".join(map(_block, block.blocks))
            return f"<details><summary>{html.escape(block.summary)}</summary>\n{inner}\n</details>"


def _bullets(items: tuple[Text, ...]) -> str:
    return "<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + "</ul>"


def _inline(text: Text) -> str:
    return "".join(map(_piece, text)).strip()


def _piece(piece: Piece) -> str:
    match piece:
        case Code():
            return f"<code>{html.escape(escape.visible(piece.text, escape.NAME)) or '&quot;&quot;'}</code>"
        case Strong():
            return f"<strong>{_prose(piece.text)}</strong>"
        case Link():
            address = html.escape(escape.url(piece.url))
            label = _prose(piece.label)
            return f'<a href="{address}" rel="noreferrer">{label}</a>' if address else label
    return _prose(piece)


def _prose(text: str) -> str:
    return html.escape(escape.visible(text, escape.PROSE))


def _table(block: Table) -> str:
    if not block.rows:
        return ""
    head = "".join(f'<th scope="col"{_side(block, i)}>{_prose(n)}</th>' for i, n in enumerate(block.header))
    rows = "\n".join(_row(block, row) for row in block.rows)
    caption = html.escape(block.caption)
    kind = ' class="stack"' if block.stacks else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}">\n<table{kind}>\n'
        f"<caption>{caption}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n</div>"
    )


def _row(block: Table, row: tuple[Text, ...]) -> str:
    cells = [
        f'<th scope="row">{_inline(cell)}</th>'
        if i == 0 and block.names
        else f"<td{_side(block, i)}{_head(block, i)}>{_inline(cell)}</td>"
        for i, cell in enumerate(row)
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _side(block: Table, index: int) -> str:
    return "" if index < block.names else ' class="number"'


def _head(block: Table, index: int) -> str:
    """What the style sheet writes before a cell whose column's head is not above it."""
    return f' data-head="{_prose(block.header[index])}"' if block.stacks else ""


def _chart(chart: Chart) -> str:
    low, high = chart.span
    first, last = chart.x[0], chart.x[-1]

    def at(x: float, y: float) -> str:
        across = LEFT + (x - first) / ((last - first) or 1) * (WIDTH - LEFT - 12)
        up = TOP + (high - y) / (high - low) * (HEIGHT - TOP - BOTTOM)
        return f"{across:.1f},{up:.1f}"

    paths = [" ".join(at(x, y) for x, y in zip(chart.x, ys, strict=True)) for _, ys in chart.lines]
    lines = "".join(f'<polyline class="line{i}" points="{path}"/>' for i, path in enumerate(paths))
    legend = "".join(
        f'<span class="key{i}">{html.escape(name)}</span>' for i, (name, _) in enumerate(chart.lines)
    )
    title = html.escape(chart.title)
    return (
        f"<figure><figcaption>{title} {legend}</figcaption>\n"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">'
        f"{_axes(chart, low, high)}{lines}</svg>\n"
        f"<details><summary>the numbers</summary>{_table(markdown.points(chart))}</details></figure>"
    )


def _axes(chart: Chart, low: float, high: float) -> str:
    parts = []
    for step in range(5):
        up = TOP + step / 4 * (HEIGHT - TOP - BOTTOM)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 12}" y1="{up:.1f}" y2="{up:.1f}"/>')
        value = high - step / 4 * (high - low)
        parts.append(f'<text x="{LEFT - 8}" y="{up + 4:.1f}" class="end">{value:.3g}</text>')
    every = max(1, -(-len(chart.x) // 8))
    span = (chart.x[-1] - chart.x[0]) or 1
    for x in chart.x[::every]:
        across = LEFT + (x - chart.x[0]) / span * (WIDTH - LEFT - 12)
        parts.append(f'<text x="{across:.1f}" y="{HEIGHT - BOTTOM + 18}" class="middle">{x:g}</text>')
    label = html.escape(f"{chart.y_label} by {chart.x_label}")
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" class="middle">{label}</text>')
    return "".join(parts)


def _plots(plots: Mapping[str, bytes]) -> str:
    if not plots:
        return ""
    figures = "\n".join(_plot(html.escape(name), content) for name, content in sorted(plots.items()))
    return f'<section>\n<h2>Plots</h2>\n<div class="plots">\n{figures}\n</div>\n</section>\n'


def _plot(name: str, content: bytes) -> str:
    source = f"data:image/svg+xml;base64,{base64.b64encode(content).decode()}"
    return f'<figure><figcaption>{name}</figcaption><img alt="Plot: {name}" src="{source}"></figure>'
