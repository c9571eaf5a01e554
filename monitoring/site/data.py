"""The sections on the live data: drift by feature, volume and labels, quality."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mainline.drift import ColumnDrift, Drift, Window
from mainline.report import escape
from mainline.state import State
from monitoring.site import charts, heat, markup
from monitoring.site.heat import Point, Row
from monitoring.site.markup import Cell
from monitoring.site.performance import milliseconds, month

MOVERS = 15  # columns that are shown at once, the largest first
FAINT = 0.01  # of a share beyond the reference's, below which nothing is said
DISTANCES = (0.0, 0.05, 0.1, 0.2, 0.3)
EXCESSES = (FAINT, 0.05, 0.1, 0.25, 0.5)
KINDS: tuple[tuple[str, Callable[[ColumnDrift], tuple[float | None, float]]], ...] = (
    ("null", lambda one: (one.nulls, one.nulls_reference)),
    ("unknown category", lambda one: (one.unknown, one.unknown_reference)),
    ("out of range", lambda one: (one.out_of_range, one.out_of_range_reference)),
    ("served unlike recomputed", lambda one: (one.skew, 0.0)),
)


def drift(state: State) -> str:
    """The heat map: the score and the label on top, then the features that moved most."""
    found = state.drift
    if found is None or not found.months:
        return markup.section("drift", "Drift", markup.paragraph(_unwatched(found)))
    windows = windows_of(found)
    named = [(w.name, {c.name: c for c in w.columns}) for w in windows]
    columns = sorted({name for _, columns in named for name in columns})
    rows = [_drift_row(markup.name(name), [columns.get(name) for _, columns in named]) for name in columns]
    moved = {name: _largest([columns.get(name) for _, columns in named]) for name in columns}
    order = sorted(range(len(columns)), key=lambda i: (-moved[columns[i]], columns[i]))
    ends = [
        _drift_row(label, points)
        for label, points in (
            ("the prediction", [w.score for w in windows]), ("the label", [w.target for w in windows]),
        )
        if any(points)
    ]  # fmt: skip
    shown, rest = markup_rows([rows[i] for i in order], MOVERS)
    names = [month(w) for w in found.months] + newest_name(found)
    caption = f"Distance to {_training(found)}, by window"
    blocks = [
        markup.paragraph(
            "0: the same distribution, 1: nothing in common (Jensen-Shannon distance). A number on a ground "
            "is beyond what chance gives between blocks of rows; the stronger the ground, the larger. "
            "Drift explains; it decides nothing. A month has all of its rows, whichever version answered "
            "them, the newest days only those of the version in production."
        ),
        heat.table(caption, "column", "", names, [*ends, *shown]),
    ]
    if rest:
        label = f"{len(rest)} more columns, which moved less"
        blocks.append(markup.details(label, heat.table(f"{caption}: the rest", "column", "", names, rest)))
    return markup.section("drift", "Drift by column", _scale(), *blocks)


def volume(state: State) -> str:
    """Rows by month and what became of their labels."""
    found = state.drift
    if found is None or not found.months:
        return markup.section("volume", "Volume and labels", markup.paragraph(_unwatched(found)))
    values = [
        {"month": escape.visible(w.name, 12), "kind": kind, "order": order, "rows": rows}
        for w in found.months
        for order, (kind, rows) in enumerate(_labels(w).items())
        if rows
    ]
    told = [(month(w), f"{w.rows:,} rows") for w in found.months]
    names = {"labelled": "labelled", "pending": "label pending", "late": "label late", "excluded": "never"}
    present = [kind for kind in names if any(one["kind"] == kind for one in values)]
    entries = [(f"bar-{kind}", names[kind]) for kind in present]
    chart = charts.figure(
        "Rows by month",
        charts.described("Rows by month, by what became of their labels", told),
        charts.key(*entries),
        lambda width: charts.volume(values, width),
        _volume_table(windows_of(found), [*(month(w) for w in found.months), *newest_name(found)]),
    ) if values else markup.paragraph("No rows have been logged.")  # fmt: skip
    return markup.section(
        "volume", "Volume and labels", markup.paragraph(_pending(found)), chart, _daily(found)
    )  # fmt: skip


def quality(state: State) -> str:
    """Shares that grew beyond those of the reference, and what of the log could not be read."""
    found = state.drift
    if found is None or not found.months:
        return markup.section("quality", "Quality of the live data", markup.paragraph(_unwatched(found)))
    windows = windows_of(found)
    rows = _quality_rows(windows)
    shown, rest = markup_rows(rows, MOVERS)
    names = [month(w) for w in found.months] + newest_name(found)
    caption = f"Shares of the rows, by window; a ground marks those above the share in {_training(found)}"
    blocks = [heat.table(caption, "column and what", "trained on", names, shown)]
    if not rows:
        text = f"No column has nulls, unknown categories or values out of range beyond {markup.share(FAINT)}"
        blocks = [markup.paragraph(f"{text} of the rows more than the rows that the model was trained on.")]
    if rest:
        inner = heat.table(f"{caption}: the rest", "column and what", "trained on", names, rest)
        blocks.append(markup.details(f"{len(rest)} more, which grew less", inner))
    stuck = [c.name for c in (found.newest.columns if found.newest else []) if c.constant]
    if stuck:
        names_of = ", ".join(markup.name(name).code for name in stuck[:MOVERS])
        more = f" and {len(stuck) - MOVERS} more" if len(stuck) > MOVERS else ""
        blocks.append(
            markup.paragraph("Stuck at one value in the newest days: ", markup.Html(names_of), more)
        )
    return markup.section("quality", "Quality of the live data", *blocks, _stream(found), _malformed(found))


def windows_of(found: Drift) -> list[Window]:
    """The months, then the newest days."""
    return [*found.months, *([found.newest] if found.newest else [])]


def newest_name(found: Drift) -> list[str]:
    """What the window of the newest days is called in a head."""
    if found.newest is None:
        return []
    span = milliseconds(found.newest.last, days=1) - milliseconds(found.newest.first)
    days = span // 86_400_000
    return [f"last {days} days" if days > 1 else "last day"]


def markup_rows(rows: Sequence[Row], shown: int) -> tuple[list[Row], list[Row]]:
    """The first, and the rest; a rest of three or fewer is not worth a fold."""
    cut = len(rows) if len(rows) <= shown + 3 else shown
    return list(rows[:cut]), list(rows[cut:])


def _drift_row(name: Cell, columns: Sequence[ColumnDrift | None]) -> Row:
    return Row(name, "", tuple(_drift_point(one) for one in columns))


def _drift_point(one: ColumnDrift | None) -> Point:
    if one is None or one.distance is None:
        return Point("–", 0, "no value")
    chance = one.noise is not None and one.distance <= one.noise
    shown = f"{one.distance:.2f}"
    if chance:
        return Point(shown, 0, "within chance")
    return Point(shown, heat.level(one.distance, DISTANCES), "constant" if one.constant else "")


def _largest(columns: Sequence[ColumnDrift | None]) -> float:
    beyond = [
        one.distance - (one.noise or 0.0) for one in columns if one is not None and one.distance is not None
    ]
    return max(beyond, default=-1.0)


def _scale() -> str:
    steps = "".join(
        f'<span class="step h{i}">{text}</span>'
        for i, text in enumerate(("chance", "< 0.05", "0.05", "0.1", "0.2", "≥ 0.3"))
    )
    return f'<p class="scale" aria-hidden="true">{steps}</p>'


def _labels(window: Window) -> dict[str, int]:
    labels = window.labels
    never = sum(labels.excluded.values())
    return {
        "labelled": labels.joined,
        "pending": labels.pending - labels.late,
        "late": labels.late,
        "excluded": never,
    }


def _volume_table(windows: Sequence[Window], names: Sequence[str]) -> str:
    header = (
        "window", "rows", "days", "labelled", "pending", "late", "never", "share labelled", "answered twice",
    )  # fmt: skip
    rows: list[list[Cell]] = []
    for window, name in zip(windows, names, strict=True):
        labels = _labels(window)
        rows.append([
            name, f"{window.rows:,}", str(window.blocks), *(f"{labels[kind]:,}" for kind in labels),
            markup.share(window.labels.share), f"{window.duplicates:,}",
        ])  # fmt: skip
    return markup.table("Rows and labels by window", header, rows, numbers=1)


def _daily(found: Drift) -> str:
    if found.quality is None or not found.quality.volume:
        return ""
    first = min((day for day, rows in found.quality.volume.items() if rows), default="")
    by_day = sorted((day, rows) for day, rows in found.quality.volume.items() if day >= first)
    values = [
        {"start": milliseconds(day), "end": milliseconds(day, days=1), "rows": rows} for day, rows in by_day
    ]
    silent = [day for day, rows in by_day if not rows]
    note = f"Without any row: {', '.join(silent[:10])}{' …' if len(silent) > 10 else ''}." if silent else ""
    return charts.figure(
        "Rows by day, all versions",
        charts.described("Rows by day", [(day, f"{rows:,} rows") for day, rows in by_day]),
        "",
        lambda width: charts.days(values, width),
        markup.table("Rows by day", ("day", "rows"), [[day, f"{rows:,}"] for day, rows in by_day], numbers=1),
        note,
    )


def _pending(found: Drift) -> str:
    pending = sum(window.labels.pending for window in found.months)
    late = sum(window.labels.late for window in found.months)
    if not any(window.rows for window in found.months):
        return "Nothing has been answered in these months."
    if not pending:
        return "Every row that can have a label has one."
    share = found.months[-1].labels.share
    newest = f" In {found.months[-1].name}, {markup.share(share)} have come." if share is not None else ""
    return f"{pending:,} labels are pending, {late:,} of them later than they should be.{newest}"


def _quality_rows(windows: Sequence[Window]) -> list[Row]:
    found: list[tuple[float, str, Row]] = []
    by_window = [{one.name: one for one in window.columns} for window in windows]
    for column in sorted({name for columns in by_window for name in columns}):
        for kind, read in KINDS:
            found_here = [columns.get(column) for columns in by_window]
            pairs = [read(one) if one is not None and one.rows else None for one in found_here]
            beyond = [pair[0] - pair[1] for pair in pairs if pair and pair[0] is not None]
            if max(beyond, default=0.0) < FAINT:
                continue
            label = markup.Html(f"{markup.name(column).code} {kind}")
            known = next((pair[1] for pair in pairs if pair), 0.0)
            row = Row(label, markup.share(known), tuple(_share_point(pair) for pair in pairs))
            found.append((max(beyond), f"{column} {kind}", row))
    return [row for _, _, row in sorted(found, key=lambda one: (-one[0], one[1]))]


def _share_point(pair: tuple[float | None, float] | None) -> Point:
    if pair is None or pair[0] is None:
        return Point("–", 0, "not computed")
    return Point(markup.share(pair[0]), heat.level(pair[0] - pair[1], EXCESSES))


def _stream(found: Drift) -> str:
    """Freshness, and what the schema did not expect."""
    one = found.quality
    if one is None:
        return ""
    told: list[Cell] = []
    if one.newest:
        age = f", {one.age_days:.1f} days before the end of the watch" if one.age_days is not None else ""
        told.append(markup.Html(f"The newest row is of {markup.moment(one.newest).code}{age}."))
    if one.after:
        told.append(f"{one.after:,} rows lie after the end of the watch.")
    if one.contradicting_labels:
        told.append(f"{one.contradicting_labels:,} keys have labels that contradict each other; none counts.")
    if one.unknown_labels:
        told.append(f"{one.unknown_labels:,} labels are for keys that no row has.")
    told += [
        f"Served features are not held against the raw data, or not all: {why}." for why in one.unchecked
    ]
    for columns, what in ((one.missing, "lack"), (one.extra, "have, and the schema does not,")):
        for name, lines in sorted(columns.items(), key=lambda pair: (-pair[1], pair[0]))[:10]:
            told.append(markup.Html(f"{lines:,} lines {what} {markup.name(name).code}."))
    return markup.bullets(told) if told else ""


def _malformed(found: Drift) -> str:
    one = found.malformed
    if not one.lines:
        return markup.paragraph("Every line of the log could be used.")
    reasons = sorted(one.reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    rows: list[list[Cell]] = [[reason, f"{count:,}"] for reason, count in reasons]
    samples = markup.bullets(markup.name(sample) for sample in one.samples[:10])
    return (
        markup.paragraph(f"{one.lines:,} lines of the log could not be used.")
        + markup.table("Lines that could not be used, by reason", ("reason", "lines"), rows, numbers=1)
        + (markup.details("samples", samples) if one.samples else "")
    )


def _training(found: Drift) -> str:
    return f"{found.reference.version[:20]}'s training window"


def _unwatched(found: Drift | None) -> str:
    return "No month has been watched yet." if found else "There is no drift.json: run mainline monitor."
