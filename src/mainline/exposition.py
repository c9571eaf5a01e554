"""Pure: the watch's outcome as Prometheus' text format, for a textfile collector or a Pushgateway.

monitoring/prometheus/rules.yml and the dashboard read these names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import get_args

from mainline.drift import ColumnDrift, Drift, Window
from mainline.records import Figure
from mainline.watching import Finding, Verdict, Watch

LONGEST = 200  # characters of a label's value: names come from tags and from data
ACTING: tuple[Verdict, ...] = ("watch", "retrain")
KINDS: tuple[str, ...] = get_args(Finding.model_fields["kind"].annotation)
SHARES = {"null": "nulls", "unknown": "unknown", "out_of_range": "out_of_range"}
HELP = {
    "mainline_watch_info": "What the watch looked at",
    "mainline_watch_timestamp_seconds": "When the watch ran",
    "mainline_watch_until_timestamp_seconds": "End of the last day that the watch looked at",
    "mainline_watch_verdict": "1 for the verdict of the watch",
    "mainline_watch_findings": "Findings that ask for something, by kind",
    "mainline_watch_malformed_lines": "Lines of the log that could not be used",
    "mainline_recorded_figure": "Figure of the model on its test rows, when it was made",
    "mainline_window_rows": "Predictions in the newest window",
    "mainline_window_labelled_share": "Of the rows that can have a label, those that have one",
    "mainline_window_late_labels": "Labels pending for longer than they may",
    "mainline_window_figure": "Figure of the labelled rows of the newest window; bound: value, low, high",
    "mainline_window_excess": "Mean loss beyond what the probabilities expect of themselves; bounds as above",
    "mainline_column_distance": "Jensen-Shannon distance of a column to the training rows, in [0, 1]",
    "mainline_column_noise": "What that distance is by chance alone",
    "mainline_score_distance": "The same distance of the scores",
    "mainline_target_distance": "The same distance of the labels",
    "mainline_window_share": "Share of the newest window's rows, by column and kind",
    "mainline_reference_share": "Share of the training rows, by column and kind",
}
Sample = tuple[str, dict[str, str], float | None]


def text(watch: Watch, drift: Drift, now: datetime) -> str:
    """All samples, grouped by name. Raises ValueError for a `now` without a zone.

    The newest window is the last of `drift.recent`, the one that decides.
    """
    if now.tzinfo is None:
        raise ValueError("the time of a watch needs a zone")
    found: dict[str, list[str]] = {name: [] for name in HELP}
    for name, labels, value in _samples(watch, drift, now):
        if value is not None:
            inner = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
            found[name].append(f"{name}{{{inner}}} {value!r}")
    blocks = [
        "\n".join([f"# HELP {name} {HELP[name]}", f"# TYPE {name} gauge", *lines])
        for name, lines in found.items()
        if lines
    ]
    return "\n".join([*blocks, ""])


def _samples(watch: Watch, drift: Drift, now: datetime) -> Iterator[Sample]:
    model = {"model": watch.model}
    yield "mainline_watch_info", {**model, "version": watch.release}, 1
    yield "mainline_watch_timestamp_seconds", model, now.timestamp()
    yield "mainline_watch_until_timestamp_seconds", model, _end(watch.until)
    for verdict in get_args(Verdict):
        yield "mainline_watch_verdict", {**model, "verdict": verdict}, float(watch.verdict == verdict)
    for kind in KINDS:
        for outcome in ACTING:
            number = sum((one.kind, one.outcome) == (kind, outcome) for one in watch.findings)
            yield "mainline_watch_findings", {**model, "kind": kind, "outcome": outcome}, number
    yield "mainline_watch_malformed_lines", model, sum(drift.malformed.reasons.values())
    for name, figure in drift.reference.figures.items():
        yield "mainline_recorded_figure", {**model, "figure": name}, figure.value
    if drift.recent:
        yield from _window(drift.recent[-1], model)


def _window(window: Window, model: Mapping[str, str]) -> Iterator[Sample]:
    labels = dict(model)
    yield "mainline_window_rows", labels, window.rows
    yield "mainline_window_labelled_share", labels, window.labels.share
    yield "mainline_window_late_labels", labels, window.labels.late
    for name, figure in window.figures.items():
        yield from _bounds("mainline_window_figure", {**model, "figure": name}, figure)
    yield from _bounds("mainline_window_excess", labels, window.excess)
    for column in window.columns:
        yield from _column(column, {**model, "column": column.name})
    yield "mainline_score_distance", labels, window.score.distance if window.score else None
    yield "mainline_target_distance", labels, window.target.distance if window.target else None


def _bounds(name: str, labels: Mapping[str, str], figure: Figure | None) -> Iterator[Sample]:
    if figure is not None:
        for bound in ("value", "low", "high"):
            yield name, {**labels, "bound": bound}, getattr(figure, bound)


def _column(column: ColumnDrift, labels: dict[str, str]) -> Iterator[Sample]:
    yield "mainline_column_distance", labels, column.distance
    yield "mainline_column_noise", labels, column.noise
    for kind, field in SHARES.items():
        yield "mainline_window_share", {**labels, "kind": kind}, getattr(column, field)
        yield "mainline_reference_share", {**labels, "kind": kind}, getattr(column, f"{field}_reference")


def _end(day: str) -> float:
    """Seconds since 1970 of the midnight that ends an ISO day (UTC)."""
    after = date.fromisoformat(day) + timedelta(days=1)
    return datetime(after.year, after.month, after.day, tzinfo=UTC).timestamp()


def _escaped(value: str) -> str:
    """As the format wants it; what cannot be encoded or printed becomes a question mark."""
    shown = "".join(one if one.isprintable() else "?" for one in value[:LONGEST])
    return shown.replace("\\", "\\\\").replace('"', '\\"')
