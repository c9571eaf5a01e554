"""The section on performance: figures by month with intervals, beside what the version recorded."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from mainline.drift import Drift, Window
from mainline.errors import RecordError
from mainline.policy import HIGHER_IS_BETTER
from mainline.records import Figure
from mainline.report import escape
from mainline.state import State
from mainline.watchrules import DECIDING
from monitoring.site import charts, markup
from monitoring.site.markup import Cell

BESIDES = ("roc_auc", "ece", "balanced_accuracy", "mae", "r2")  # one of them is drawn beside the deciding one


def section(state: State, unit: str = "") -> str:
    """The figures that can be drawn; a sentence where there is nothing to draw. `unit`: of the target."""
    drift = state.drift
    if drift is None or not drift.months:
        return markup.section(
            "performance", "Performance", markup.paragraph("No month has been watched yet.")
        )
    names = [state.deciding, *(name for name in BESIDES if name != state.deciding)]
    drawn = [name for name in names if any(_value(drift, one, name) for one in drift.months)][:2]
    if not drawn:
        drawn = [state.deciding] if any(one.estimated for one in drift.months) else []
    blocks = [_chart(state, drift, name, unit) for name in drawn]
    if not blocks:
        blocks = [markup.paragraph("No labels have come yet, and there is no estimate: nothing to draw.")]
    return markup.section("performance", "Performance", *blocks, _sampled(drift), _calibration(drift, unit))


def unfinished(window: Window) -> bool:
    """Does the month go on after the window's last day?"""
    return (_day(window.last) + timedelta(days=1)).day != 1


def month(window: Window) -> str:
    """Its name, and how far it goes where it is unfinished."""
    return f"{window.name} (to {window.last[8:]})" if unfinished(window) else window.name


def marks(state: State, months: list[Window]) -> list[dict[str, Any]]:
    """Where each version first answered: at its production tag where that is in the month, else its start."""
    tagged = {one.version: one.when for one in state.history if one.stage == "production" and one.version}
    seen: dict[str, dict[str, Any]] = {}
    for window in months:
        fresh = [version for version in window.versions if version not in seen]
        for version in sorted(fresh):
            when = tagged.get(version, "")
            at = when[:10] if window.first <= when[:10] <= window.last else window.first
            seen[version] = {"at": milliseconds(at), "text": escape.visible(version, 12)}
    return list(seen.values())


def _chart(state: State, drift: Drift, name: str, unit: str) -> str:
    rows = [_row(state, drift, window, name) for window in drift.months]
    title = markup.title(name)
    better = "more is better" if name in HIGHER_IS_BETTER else "less is better"
    if unit and name in markup.IN_UNITS:
        better = f"{unit}, {better}"
    lines = marks(state, drift.months)
    entries = []
    if any(one["value"] is not None and not one["estimate"] for one in rows):
        entries.append(("circle", "measured, with interval"))
    if any(one["estimate"] for one in rows):
        entries.append(("diamond", "estimated, labels pending"))
    if any(one["test"] is not None for one in rows):
        entries.append(("testband", f"{drift.reference.version} on its test rows"))
    if lines:
        entries.append(("release", "a version begins to answer"))
    told = [(month(w), markup.number(r["value"])) for w, r in zip(drift.months, rows, strict=True)]
    return charts.figure(
        f"{title} by month",
        charts.described(f"{title} by month, {better}", told),
        charts.key(*entries),
        lambda width: charts.performance(rows, lines, width, better=better),
        _numbers(drift, name, rows, unit),
    )


def _numbers(drift: Drift, name: str, rows: list[dict[str, Any]], unit: str) -> str:
    body: list[list[Cell]] = []
    for window, row in zip(drift.months, rows, strict=True):
        measured = _value(drift, window, name)
        body.append([
            month(window), _kind(drift, window, name, estimate=row["estimate"]), _versions(window),
            markup.figure(measured or (window.estimated if row["estimate"] else None)),
            markup.figure(Figure(value=row["test"], low=row["test_low"], high=row["test_high"])),
            markup.figure(window.against.get(name) if measured else None), f"{window.labels.joined:,}",
        ])  # fmt: skip
    shown = markup.head(name, unit)
    header = ("month", "kind", "versions", shown, "on test rows", "difference", "labelled rows")
    return markup.table(f"{markup.plain(name)} by month", header, body, numbers=3)


def _kind(drift: Drift, window: Window, name: str, *, estimate: bool) -> str:
    """What the month's figure is, or why it has none."""
    share = window.labels.share
    if share is None:
        told = "no labels"
    elif _pending(drift, window):
        told = f"pending, {markup.share(share)} of labels"
    else:
        told = "measured" if _value(drift, window, name) else "undefined"
    return f"estimate: {told}" if estimate else told


def _versions(window: Window) -> str:
    """Those that answered, each with its rows where they are several."""
    shown = {version: version[:20] for version in sorted(window.versions)}
    if len(shown) < 2:
        return "".join(shown.values())
    return ", ".join(f"{name} ({window.versions[version]:,})" for version, name in shown.items())


def _row(state: State, drift: Drift, window: Window, name: str) -> dict[str, Any]:
    value = _value(drift, window, name)
    loss = name == state.deciding and name not in HIGHER_IS_BETTER
    guess = window.estimated if value is None and loss else None
    shown = value or guess
    # A month before the version has no band: what answered it promised something else.
    test = drift.reference.figures.get(name) if drift.reference.version in window.versions else None
    start, end = milliseconds(window.first), milliseconds(window.last, days=1)
    shift = shown.value if shown else None
    return {
        "start": start, "end": end, "middle": (start + end) // 2, "value": shift,
        "low": shift if shown is None or shown.low is None else shown.low,
        "high": shift if shown is None or shown.high is None else shown.high,
        "estimate": guess is not None and guess.value is not None,
        "test": test.value if test else None,
        "test_low": test.low if test and test.low is not None else (test.value if test else None),
        "test_high": test.high if test and test.high is not None else (test.value if test else None),
    }  # fmt: skip


def _pending(drift: Drift, window: Window) -> bool:
    """Too few labels have come for its figures to say anything."""
    share = window.labels.share
    return share is None or share < drift.labelled_share or not window.labels.joined


def _value(drift: Drift, window: Window, name: str) -> Figure | None:
    found = None if _pending(drift, window) else window.figures.get(name)
    return found if found and found.value is not None else None


def _sampled(drift: Drift) -> str:
    """Of which months too many rows were answered for all to be looked at."""
    parts = [
        f"{month(one)} {one.sampled:,} of {one.rows:,}" for one in drift.months if one.sampled is not None
    ]
    if not parts:
        return ""
    return markup.paragraph(f"Figures are of a sample of the rows, chosen by their keys: {', '.join(parts)}.")


def _calibration(drift: Drift, unit: str) -> str:
    if drift.task == "regression":
        return _recalibrated(drift, unit)
    rows: list[list[Cell]] = [
        [month(one), *map(markup.figure, _beyond(drift, one)), markup.figure(one.estimated)]
        for one in drift.months
        if any((one.excess, one.recoverable, one.estimated))
    ]
    if not rows:
        return ""
    header = ("month", "excess", "recoverable", "expected loss")
    return markup.details(
        "calibration: what the loss is beyond what the probabilities expect of themselves",
        markup.table(
            "excess: loss beyond the expected; recoverable: what recalibration alone would take away",
            header, rows, numbers=1,
        ),
    )  # fmt: skip


def _recalibrated(drift: Drift, unit: str) -> str:
    """Of values, which expect no loss of themselves."""
    known = [one for one in drift.months if one.recoverable]
    if not known:
        return ""
    rows: list[list[Cell]] = [[month(one), markup.figure(_beyond(drift, one)[1])] for one in known]
    told = f"what a recalibration alone would take off the {markup.head(DECIDING[drift.task], unit)}"
    return markup.details(
        f"calibration: {told}", markup.table(told, ("month", "recoverable"), rows, numbers=1)
    )


def _beyond(drift: Drift, window: Window) -> tuple[Figure | None, Figure | None]:
    return (None, None) if _pending(drift, window) else (window.excess, window.recoverable)


def milliseconds(day: str, days: int = 0) -> int:
    """The start of a day (ISO), some days on, since 1970."""
    moment = datetime.combine(_day(day), datetime.min.time(), UTC) + timedelta(days=days)
    return int(moment.timestamp()) * 1000


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        what = f"drift.json speaks of a day {escape.visible(text, 40)!r}"
        raise RecordError(what, remedy="mainline monitor") from None
