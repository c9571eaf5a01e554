"""A report as Markdown: pleasant on GitHub, legible in a terminal, never over GitHub's limit of a comment.

What does not fit is shortened, the least important first: first tables and lists lose rows, then whole
sections become one line. Nothing is cut inside, so tables, fences and folds are always closed.
"""

from __future__ import annotations

import html
from dataclasses import replace

from mainline.report import escape
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

GITHUB = 65_536  # characters of a comment
# In bytes, which are never fewer than characters, and less the marker that publishing adds.
LIMIT = GITHUB - 1_536
ROWS = (100, 30, 10)  # of a table or a list, while shortening
FIRST_LINE = 400  # characters of the reason
HEADINGS = "### "
COLOURS = {"blue": "#2f7fd6", "orange": "#d9730d"}  # Mermaid's own first colour cannot be seen on white


def render(document: Document, limit: int = LIMIT) -> str:
    """The whole document, shortened until it has at most `limit` bytes; the first line always stays."""
    head = document.headline
    # A heading ends where its line does, and prose is one line; the mark and the word are ours.
    first = f"{HEADINGS}{head.mark} {head.word}: {escape.prose(head.reason, FIRST_LINE)}"
    parts = [section(content) for content in document.sections]
    by_weight = sorted(range(len(parts)), key=lambda index: document.sections[index].weight)
    for index, rows in [(index, rows) for rows in (*ROWS, 0) for index in by_weight]:
        if len(_joined(first, parts).encode()) <= limit:
            break
        parts[index] = section(_shortened(document.sections[index], rows, document.full))
    return _joined(first, parts)


def _joined(first: str, parts: list[str]) -> str:
    return "\n\n".join([first, *filter(None, parts)]) + "\n"


def section(content: Section) -> str:
    """One section with its title; empty when nothing is in it."""
    parts = [part for block in content.blocks if (part := _block(block))]
    if content.title and parts:
        parts.insert(0, f"{HEADINGS}{content.title}")
    return "\n\n".join(parts)


def _shortened(section: Section, rows: int, full: str) -> Section:
    if rows == 0 and section.title:
        link = Link("the full report", full) if escape.url(full) else "the full report, reports/report.html"
        left_out: Text = ("Left out, there is no room: see ", link)
        return replace(section, blocks=(Paragraph(left_out),))
    return replace(section, blocks=tuple(_fewer(block, max(rows, 3)) for block in section.blocks))


def _fewer(block: Block, rows: int) -> Block:
    match block:
        case Table() if len(block.rows) > rows:
            more = f"and {len(block.rows) - rows:,} more, see the full report"
            last = ((more,), *(("",) for _ in block.header[1:]))
            return replace(block, rows=(*block.rows[:rows], last))
        case Bullets() | Alert() if len(block.items) > rows:
            last_item = (f"and {len(block.items) - rows:,} more, see the full report",)
            return replace(block, items=(*block.items[:rows], last_item))
        case Details():
            return replace(block, blocks=tuple(_fewer(inner, rows) for inner in block.blocks))
    return block


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            return inline(block.text)
        case Bullets():
            return "\n".join(f"- {inline(item)}" for item in block.items)
        case Table():
            return table(block)
        case Chart():
            return _chart(block)
        case Alert():
            lines = "\n".join(f"> - {inline(item)}" for item in block.items)
            return f"> [!{block.kind}]\n{lines}" if lines else ""
        case Details():
            inner = "\n\n".join(part for b in block.blocks if (part := _block(b)))
            summary = html.escape(escape.visible(block.summary, escape.NAME))
            return f"<details><summary>{summary}</summary>\n\n{inner}\n\n</details>"


def inline(text: Text) -> str:
    """One line of Markdown. Pieces are joined as they are, so they bring their own spaces."""
    return "".join(map(_piece, text)).strip()


def _piece(piece: Piece) -> str:
    match piece:
        case Code():
            return escape.code(piece.text)
        case Strong():
            return f"**{escape.prose(piece.text)}**"
        case Link():
            address = escape.url(piece.url).replace("&", "&amp;")
            return f"[{escape.prose(piece.label)}]({address})" if address else escape.prose(piece.label)
    before = " " if piece[:1] == " " else ""
    after = " " if piece.strip() and piece[-1:] == " " else ""
    return f"{before}{escape.prose(piece)}{after}"


def table(block: Table) -> str:
    """A pipe table, padded so that short ones line up in a terminal. Cells hold no pipe: see `escape`."""
    if not block.rows:
        return ""
    rows = [
        [inline((name,)) for name in block.header],
        *([inline(cell) for cell in row] for row in block.rows),
    ]
    widths = [min(40, max(3, *(len(row[i]) for row in rows))) for i in range(len(block.header))]
    right = [i >= block.names for i in range(len(widths))]
    lines = [
        " | ".join(
            cell.rjust(width) if r else cell.ljust(width)
            for cell, width, r in zip(row, widths, right, strict=True)
        )
        for row in rows
    ]
    rule = "|".join(f"{'-' * (w + 1)}:" if r else "-" * (w + 2) for w, r in zip(widths, right, strict=True))
    return "\n".join([f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])])


def points(chart: Chart) -> Table:
    """The numbers of a chart, for whoever does not see it."""
    header = (chart.x_label, *(name for name, _ in chart.lines))
    rows = [
        tuple((f"{value:.6g}",) for value in (x, *(values[i] for _, values in chart.lines)))
        for i, x in enumerate(chart.x)
    ]
    return Table(chart.title, header, tuple(rows), names=0)


def _chart(chart: Chart) -> str:
    """Mermaid, and the same numbers folded: a terminal or a mail shows no picture. Labels are ours."""
    low, high = chart.span
    numbers, palette = table(points(chart)), ", ".join(COLOURS.values())
    picture = [
        "```mermaid",
        f'%%{{init: {{"themeVariables": {{"xyChart": {{"plotColorPalette": "{palette}"}}}}}}}}%%',
        "xychart-beta",
        f'    title "{chart.title}"',
        f'    x-axis "{chart.x_label}" [{", ".join(f"{x:g}" for x in chart.x)}]',
        f'    y-axis "{chart.y_label}" {low:.6g} --> {high:.6g}',
        *(f"    line [{', '.join(f'{value:.6g}' for value in values)}]" for _, values in chart.lines),
        "```",
    ]
    names = " and ".join(
        f"{name} ({colour})" for (name, _), colour in zip(chart.lines, COLOURS, strict=False)
    )
    fold = f"<details><summary>{chart.title}: the numbers</summary>\n\n{numbers}\n\n</details>"
    return "\n".join(picture) + f"\n\nLines: {names}.\n\n{fold}"
