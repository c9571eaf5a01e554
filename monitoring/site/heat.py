"""Tables that are heat maps: each cell is a number, on a ground that says how large it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitoring.site import markup
from monitoring.site.markup import Cell

STEPS = 5  # grounds of the style sheet, .h1 to .h5
MONTHS = 12  # that are shown at once; the rest is folded


@dataclass(frozen=True, slots=True)
class Point:
    """One cell. `level`: 0 without a ground, to STEPS; `said`: what a screen reader adds."""

    shown: str
    level: int
    said: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One line: its name, what belongs to it for all windows, and a point for each."""

    name: Cell
    note: str
    points: tuple[Point, ...]


def level(value: float | None, limits: Sequence[float]) -> int:
    """How many of the rising limits the value reaches."""
    return 0 if value is None else sum(value >= limit for limit in limits)


def table(caption: str, first: str, note: str, windows: Sequence[str], rows: Sequence[Row]) -> str:
    """The rows over the windows, the newest at the right; the oldest are folded when there are many."""
    if not rows:
        return ""
    cut = max(0, len(windows) - MONTHS)
    shown = _table(caption, first, note, windows[cut:], [_since(row, cut) for row in rows])
    if not cut:
        return shown
    older = _table(f"{caption}, before", first, note, windows[:cut], [_until(row, cut) for row in rows])
    return shown + markup.details(f"the {cut} windows before", older)


def _since(row: Row, cut: int) -> Row:
    return Row(row.name, row.note, row.points[cut:])


def _until(row: Row, cut: int) -> Row:
    return Row(row.name, row.note, row.points[:cut])


def _table(caption: str, first: str, note: str, windows: Sequence[str], rows: Sequence[Row]) -> str:
    head = "".join(f'<th scope="col" class="number">{markup.text(one)}</th>' for one in windows)
    aside = f'<th scope="col" class="number">{markup.text(note)}</th>' if note else ""
    body = "\n".join(_line(row, bool(note)) for row in rows)
    inner = (
        f'<thead><tr><th scope="col">{markup.text(first)}</th>{aside}{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>"
    )
    return markup.scrolling(caption, inner, "heat")


def _line(row: Row, noted: bool) -> str:
    note = f'<td class="number soft">{markup.text(row.note)}</td>' if noted else ""
    points = "".join(_point(point) for point in row.points)
    return f'<tr><th scope="row">{markup.cell(row.name)}</th>{note}{points}</tr>'


def _point(point: Point) -> str:
    said = f'<span class="unseen"> {markup.text(point.said)}</span>' if point.said else ""
    return f'<td class="number h{point.level}">{markup.text(point.shown)}{said}</td>'
