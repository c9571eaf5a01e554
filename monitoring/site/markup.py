"""Pieces of the page. Every text passes `text`, which shows what cannot be seen and escapes the rest."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mainline.records import Figure
from mainline.report import escape

SHORT = {
    "roc_auc": "ROC AUC", "pr_auc": "PR AUC", "ece": "ECE", "rmse": "RMSE", "mae": "MAE", "r2": "R²",
}  # fmt: skip
IN_UNITS = frozenset(("rmse", "mae", "median_ae", "bias"))  # figures in the unit of the target
WORDS = 24  # characters; a longer text is a sentence
MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(?::\d\d)?[\d.:+Z-]{0,12})?")


@dataclass(frozen=True, slots=True)
class Html:
    """Markup that is safe as it is: made by the functions of this module."""

    code: str


Cell = Html | str


def text(foreign: str, limit: int = escape.PROSE) -> str:
    """Foreign text as HTML: control and unseen characters as escapes, cut at `limit`."""
    return html.escape(escape.visible(foreign, limit))


def name(foreign: str) -> Html:
    """A name out of the data or of Git, set as code."""
    mark = ' class="short"' if len(foreign) <= WORDS else ""  # is never broken
    return Html(f"<code{mark}>{text(foreign, escape.NAME) or '&quot;&quot;'}</code>")


def cell(content: Cell) -> str:
    """The inside of an element."""
    return content.code if isinstance(content, Html) else text(content)


def link(label: Cell, address: str) -> Html:
    """A link to an http(s) address or to a file beside the page; only the label when it is neither."""
    target = escape.url(address) if "://" in address else relative(address)
    return Html(f'<a href="{html.escape(target)}">{cell(label)}</a>' if target else cell(label))


def relative(address: str) -> str:
    """An address within the page's own folder; empty for any other."""
    parts = address.split("#")[0].split("/")
    plain = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._/-]*(#[A-Za-z0-9_-]*)?", address)
    return address if plain and not {"", ".."} & set(parts) else ""


def moment(when: str) -> Html:
    """A time of a tag, to the minute."""
    found = MOMENT.fullmatch(when)
    if not found:
        return Html(text(when, 40) or "unknown")
    clock = f" {found[2]}" if found[2] else ""
    return Html(f'<time datetime="{html.escape(when)}">{found[1]}{clock}</time>')


def number(value: float | None) -> str:
    """A figure in four digits; a dash where it is undefined."""
    if value is None:
        return "–"
    shown = f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}" if abs(value) < 1e6 else f"{value:.3g}"
    return shown.replace("-", "−")


def figure(one: Figure | None) -> str:
    """A figure with its interval."""
    if one is None or one.value is None:
        return "–"
    if one.low is None or one.high is None:
        return number(one.value)
    return f"{number(one.value)} [{number(one.low)}, {number(one.high)}]"


def share(value: float | None) -> str:
    """A share in percent; small ones keep a digit."""
    if value is None:
        return "–"
    percent = 100 * value
    return f"{percent:.1f} %" if 0 < percent < 9.95 or 99.5 < percent < 100 else f"{percent:.0f} %"


def plain(figure_name: str) -> str:
    """`log_loss` as words."""
    return SHORT.get(figure_name, figure_name.replace("_", " "))


def title(figure_name: str) -> str:
    """The same at the start of a line."""
    words = plain(figure_name)
    return words[:1].upper() + words[1:]


def head(figure_name: str, unit: str) -> str:
    """The same over a column of it; `unit`: the target's, empty for none."""
    return f"{plain(figure_name)} ({unit})" if unit and figure_name in IN_UNITS else plain(figure_name)


def days(value: float | None) -> str:
    """A number of days."""
    return "–" if value is None else f"{value:.3g} day{'' if value == 1 else 's'}"


def paragraph(*content: Cell) -> str:
    return f"<p>{''.join(map(cell, content))}</p>"


def bullets(items: Iterable[Cell]) -> str:
    return f"<ul>{''.join(f'<li>{cell(item)}</li>' for item in items)}</ul>"


def section(anchor: str, title: str, *blocks: str) -> str:
    inner = "\n".join(filter(None, blocks))
    return (
        f'<section id="{anchor}" aria-labelledby="{anchor}-title">\n'
        f'<h2 id="{anchor}-title">{title}</h2>\n{inner}\n</section>'
    )


def details(summary: str, *blocks: str) -> str:
    return f"<details><summary>{text(summary)}</summary>\n{''.join(blocks)}\n</details>"


def pairs(items: Iterable[tuple[str, Cell]]) -> str:
    """Names and values."""
    return "<dl>" + "".join(f"<dt>{text(key)}</dt><dd>{cell(value)}</dd>" for key, value in items) + "</dl>"


def table(caption: str, header: Sequence[str], rows: Sequence[Sequence[Cell]], numbers: int = 99) -> str:
    """A table that scrolls by itself; columns from `numbers` on are aligned as numbers."""
    if not rows:
        return ""
    head = "".join(f'<th scope="col"{_side(i, numbers)}>{text(title)}</th>' for i, title in enumerate(header))
    body = "\n".join(
        "<tr>"
        + "".join(
            f'<th scope="row">{cell(content)}</th>'
            if i == 0
            else f"<td{_side(i, numbers, content)}>{cell(content)}</td>"
            for i, content in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return scrolling(caption, f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>")


def scrolling(caption: str, inner: str, kind: str = "") -> str:
    """The frame of a table: focusable, so that the keyboard can scroll it."""
    label = text(caption)
    mark = f' class="{kind}"' if kind else ""
    frame = "scroll newest" if kind else "scroll"
    return (
        f'<div class="{frame}" tabindex="0" role="region" aria-label="{label}">\n'
        f"<table{mark}>\n<caption><span>{label}</span></caption>\n{inner}\n</table>\n</div>"
    )


def folded(rows: Sequence[Sequence[Cell]], shown: int) -> tuple[Sequence[Sequence[Cell]], ...]:
    """The first rows, and the rest."""
    return rows[:shown], rows[shown:]


def _side(index: int, numbers: int, content: Cell = "") -> str:
    if index >= numbers:
        return ' class="number"'
    # Else a narrow screen gives a sentence a column of one word.
    return ' class="words"' if isinstance(content, str) and len(content) > WORDS else ""
