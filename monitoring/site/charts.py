"""Charts as static SVG: Altair describes them, vl-convert draws them, here and without the network.

Each is drawn twice, for a phone and for a desktop, because scaled text cannot be read. Colours are names that
the page's style resolves, so one drawing serves light and dark. Of the SVG only shapes and text are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any
from xml.etree import ElementTree

from mainline.report import escape
from monitoring.site import markup

NARROW, WIDE = 328, 736  # CSS pixels
FONT = 12
SVG = "{http://www.w3.org/2000/svg}"
# What the drawing library is told, and what the page's style knows. Patterns stand in the page once.
PAINTS = {
    "text": "#000001", "soft": "#000002", "line": "#000003", "one": "#000004", "two": "#000005",
    "band": "#000006", "ground": "#000007", "hatch": "#000008", "dots": "#000009",
}  # fmt: skip
PATTERNS = ("hatch", "dots")
INKS = {paint: f"url(#{name})" if name in PATTERNS else f"var(--{name})" for name, paint in PAINTS.items()}
ELEMENTS = {"svg", "g", "path", "rect", "line", "text"}
ATTRIBUTES = {
    "viewBox", "transform", "d", "x", "y", "x1", "x2", "y1", "y2", "width", "height", "fill", "stroke",
    "stroke-width", "stroke-dasharray", "opacity", "fill-opacity", "text-anchor", "font-size", "font-weight",
}  # fmt: skip
LONG = re.compile(r"-?\d+\.\d{3,}")
Values = list[dict[str, Any]]


def figure(
    title: str, label: str, key: str, draw: Callable[[int], dict[str, Any]], numbers: str, note: str = ""
) -> str:
    """A chart with its key and its numbers. `draw`: a Vega-Lite specification for a width in pixels.

    `label` is what a screen reader says of it.
    """
    drawn = "\n".join(svg(draw(width), label, kind) for width, kind in ((NARROW, "narrow"), (WIDE, "wide")))
    about = f'<p class="note">{markup.text(note)}</p>' if note else ""
    return (
        f"<figure><figcaption>{markup.text(title)}{key}</figcaption>\n{drawn}\n{about}"
        f"{markup.details('the numbers', numbers)}</figure>"
    )


def key(*entries: tuple[str, str]) -> str:
    """The legend: shapes of the style sheet, and what they mean."""
    items = "".join(f'<span class="key {shape}">{markup.text(meaning)}</span>' for shape, meaning in entries)
    return f'<span class="keys">{items}</span>'


def performance(
    months: Values, marks: Values, width: int, *, better: str, reference: bool = True
) -> dict[str, Any]:
    """Figures by month with intervals, on the band that the version recorded on its test rows.

    Args:
        months: `start`, `middle`, `end` (ms), `value`, `low`, `high`, `estimate` (bool), and the recorded
            `test`, `test_low`, `test_high`; null where unknown.
        marks: releases: `at` (ms), `text`.
        better: the axis title.
        reference: whether there is a band.
    """
    import altair as alt

    room = (width - 60) / max(1, len(months))  # pixels of one month
    size = min(55.0, max(9.0, room * 2.5))
    middle = sorted({one["middle"] for one in months})
    axis = alt.Axis(
        values=middle, format="%Y-%m", grid=False, labelOverlap="parity", labelSeparation=6, title=None
    )
    time: dict[str, Any] = {"scale": alt.Scale(type="utc", nice=False), "axis": axis}
    band = [one for one in months if one["test"] is not None] if reference else []
    layers = [
        _of(months).mark_rect(opacity=0).encode(x=alt.X("start:T", **time), x2="end:T"),
        *_recorded(band, time),
        *_releases(marks, months, width, time),
        *_measured([one for one in months if one["value"] is not None], time, size, better),
    ]
    return _finished(alt.layer(*layers), width, 250)


def _recorded(band: Values, time: dict[str, Any]) -> list[Any]:
    """The interval on the test rows, and a line in its middle."""
    import altair as alt

    span = {"x": alt.X("start:T", **time), "x2": "end:T"}
    return [
        _of(band).mark_rect(color=PAINTS["band"]).encode(**span, y=alt.Y("test_low:Q"), y2="test_high:Q"),
        _of(band)
        .mark_rule(color=PAINTS["two"], strokeDash=[6, 3], strokeWidth=1.5)
        .encode(**span, y="test:Q"),
    ]


def _measured(months: Values, time: dict[str, Any], size: float, better: str) -> list[Any]:
    """A line through what was measured, the intervals, and a point each, another one for an estimate."""
    import altair as alt

    ink, ground = PAINTS["one"], PAINTS["ground"]
    x = alt.X("middle:T", **time)
    y = alt.Y("low:Q", scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(title=better, tickCount=5))
    sure, guessed = ([one for one in months if one["estimate"] == which] for which in (False, True))
    runs: Values = []  # a line has no point between, and none over months of which nothing is known
    for before, one in zip([None, *sure], sure, strict=False):
        joined = before is not None and before["end"] == one["start"]
        runs.append({**one, "run": runs[-1]["run"] if joined else len(runs)})
    point = {"shape": "circle", "fill": ink, "size": size}
    guess = {"shape": "diamond", "fill": ground, "size": size * 1.6, "strokeWidth": 2}
    return [
        _of(runs).mark_line(color=ink, strokeWidth=1, opacity=0.6).encode(x=x, y="value:Q", detail="run:N"),
        _of(months).mark_rule(color=ink, strokeWidth=2).encode(x=x, y=y, y2="high:Q"),
        _of(sure).mark_point(color=ink, opacity=1, **point).encode(x=x, y="value:Q"),
        _of(guessed).mark_point(color=ink, opacity=1, **guess).encode(x=x, y="value:Q"),
    ]


def volume(months: Values, width: int) -> dict[str, Any]:
    """Rows by month, stacked by what became of their labels: `month`, `kind`, `order`, `rows`."""
    import altair as alt

    paints = {"labelled": "one", "pending": "hatch", "late": "dots", "excluded": "ground"}
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=list(paints), range=[PAINTS[paint] for paint in paints.values()]),
        legend=None,
    )
    step = alt.Axis(
        title=None, labelAngle=0, labelOverlap="parity", labelSeparation=6, labelPadding=8, ticks=False
    )
    chart = (
        _of(months)
        .mark_bar(stroke=PAINTS["one"], strokeWidth=1)
        .encode(
            x=alt.X("month:O", axis=step, scale=alt.Scale(paddingInner=0.3, paddingOuter=0.15)),
            y=alt.Y("rows:Q", stack="zero", axis=alt.Axis(title="rows", tickCount=4, format="~s")),
            color=colour,
            order=alt.Order("order:O"),
        )
    )
    return _finished(chart, width, 190)


def days(values: Values, width: int) -> dict[str, Any]:
    """Rows by day: `start`, `end` (ms), `rows`."""
    import altair as alt

    axis = alt.Axis(
        format="%Y-%m-%d",
        title=None,
        labelOverlap="parity",
        labelSeparation=8,
        labelPadding=6,
        tickCount=6,
        grid=False,
        labelFlush=False,  # it would push the last label into the one before
    )
    chart = (
        _of(values)
        .mark_rect(color=PAINTS["one"], stroke=PAINTS["ground"], strokeWidth=0.5)
        .encode(
            x=alt.X("start:T", scale=alt.Scale(type="utc", nice=False), axis=axis),
            x2="end:T",
            y=alt.Y(
                "rows:Q", scale=alt.Scale(zero=True), axis=alt.Axis(title="rows", tickCount=3, format="~s")
            ),
            y2=alt.datum(0),
        )
    )
    return _finished(chart, width, 120)


def _of(values: Values) -> Any:
    import altair as alt

    return alt.Chart(alt.InlineData(values=values))


def _releases(marks: Values, months: Values, width: int, time: dict[str, Any]) -> list[Any]:
    """A line at each release and its name above, in as many rows as keep the names apart."""
    import altair as alt

    first, last = min(one["start"] for one in months), max(one["end"] for one in months)
    scale = (width - 60) / ((last - first) or 1)
    rows: list[float] = []  # where the last name of each row ends, in pixels
    placed: list[Values] = []
    for one in sorted(marks, key=lambda mark: mark["at"]):
        at = (one["at"] - first) * scale
        row = next((i for i, end in enumerate(rows) if end < at), len(rows))
        if row == len(rows):
            rows.append(0.0)
            placed.append([])
        rows[row] = at + 10 + 6.6 * len(one["text"])
        placed[row].append(one)
    lines = [_of(marks).mark_rule(color=PAINTS["text"], strokeDash=[2, 3]).encode(x=alt.X("at:T", **time))]
    names = [
        _of(row)
        .mark_text(align="left", dx=-2, fontSize=FONT, fontWeight=600, color=PAINTS["text"])
        .encode(x=alt.X("at:T", **time), y=alt.value(-9 - 15 * index), text="text:N")
        for index, row in enumerate(placed)
    ]
    return lines + names if marks else []


def _finished(chart: Any, width: int, height: int) -> dict[str, Any]:
    """One look for all; the width is that of the whole drawing."""
    axis = {
        "labelColor": PAINTS["soft"], "titleColor": PAINTS["soft"], "gridColor": PAINTS["line"],
        "domainColor": PAINTS["line"], "tickColor": PAINTS["line"], "labelFontSize": FONT,
        "titleFontSize": FONT, "titleFontWeight": "normal",
    }  # fmt: skip
    done = chart.properties(
        width=width, height=height, autosize={"type": "fit", "contains": "padding"}, padding=4
    ).configure(background="transparent", view={"stroke": None}, axis=axis, font="sans-serif")
    return dict(done.to_dict())


def svg(specification: dict[str, Any], label: str, kind: str) -> str:
    """The drawing, reduced to shapes and text, with its name for screen readers."""
    import vl_convert

    drawn = vl_convert.vegalite_to_svg(specification, allowed_base_urls=[])
    root = ElementTree.fromstring(drawn)  # noqa: S314 - our own library wrote it
    _reduce(root)
    root.attrib = {name: root.attrib[name] for name in ("viewBox",)}
    root.attrib |= {
        "class": kind,
        "role": "img",
        "aria-label": escape.visible(label, escape.PROSE),
        "focusable": "false",
    }
    ElementTree.register_namespace("", SVG.strip("{}"))
    return ElementTree.tostring(root, encoding="unicode").replace(f' xmlns="{SVG.strip("{}")}"', "")


def _reduce(element: ElementTree.Element) -> None:
    for child in list(element):
        hidden = child.get("display") == "none" or child.get("opacity") == "0"
        unseen = hidden or child.get("class") == "background"
        if unseen or child.tag.removeprefix(SVG) not in ELEMENTS:
            element.remove(child)
            continue
        _reduce(child)
        if child.tag == f"{SVG}g" and not len(child):
            element.remove(child)
    element.attrib = {
        name: LONG.sub(lambda found: f"{float(found[0]):.2f}", INKS.get(value, value))
        for name, value in element.attrib.items()
        if name in ATTRIBUTES
    }


def described(title: str, rows: Sequence[tuple[str, str]]) -> str:
    """A chart in one sentence: what it shows, and its first and last value."""
    told = [f"{name}: {value}" for name, value in rows if value not in ("", "–")]
    ends = told if len(told) < 3 else [told[0], told[-1]]
    return (
        f"{title}. {'; '.join(ends)}. The table below has every number." if ends else f"{title}. No values."
    )
