"""The record of the watch, window by window, from what was observed by day."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mainline import drift
from mainline.drift import ColumnDrift, Drift, Quality
from mainline.policy import MonitorPolicy
from mainline.records import Figure
from mainline.settings import Month
from monitoring import observed, performance, tallies
from monitoring.observed import BLOCK, EVERY, OURS, REASON, TARGET, TIME, Answered, Observed
from monitoring.performance import Answers
from monitoring.reading import Found
from monitoring.reference import SCORE, Reference, as_array
from monitoring.tallies import Scatter
from pipeline.evaluation import bootstrap
from pipeline.text import inert

Span = tuple[date, date]  # first and last day, both included


def record(
    found: Observed,
    reference: Reference,
    policy: MonitorPolicy,
    until: date,
    *,
    known_by: datetime | None = None,
    log: Found | None = None,
) -> Drift:
    """The record from what was observed; `log`: what reading it came upon."""
    log = log or Found()
    now = known_by or observed.end_of(until)
    view = _View.of(found, OURS, reference, policy, until, now)
    shown = _View.of(found, EVERY, reference, policy, until, now)
    recent = trailing(until, policy.window_days, policy.windows)
    newest = trailing(until, policy.fault_days, 2)
    history = months(until, policy.months, min(found.volume, default=until))
    names = [f"recent {number} of {len(recent)}" for number in range(1, len(recent) + 1)]
    earlier = trailing(until, policy.window_days, policy.windows + 1)[0]
    newest_row = max((time for day, time in found.newest.items() if day <= until), default=None)
    return Drift(
        task=reference.table.task,
        reference=reference.record,
        until=until.isoformat(),
        malformed=log.malformed.model_copy(update={"days": log.malformed_days(recent[0][0], until)}),
        recent=view.windows(names, [earlier, *recent]),
        newest=view.windows(["newest"], newest)[0],
        months=shown.windows([first.strftime("%Y-%m") for first, _ in history], [_before(history), *history]),
        backtest=None,
        quality=Quality(
            lines=log.lines,
            volume={day.isoformat(): found.volume.get(day, 0) for day in _days(recent[0][0], until)},
            newest=None if newest_row is None else newest_row.isoformat(),
            age_days=_age(newest_row, until),
            missing=dict(sorted(log.missing.items())),
            extra=dict(sorted(log.extra.items())),
            unknown_labels=found.unknown_labels,
            read={day.isoformat(): log.lines_of(day, until) for day in _days(recent[0][0], until)},
            others=log.others,
        ),
        labelled_share=policy.labelled_share,
    )


def trailing(until: date, days: int, count: int) -> list[Span]:
    """`count` spans of `days` whole days, the last one ends with `until`; the oldest first."""
    ends = [until - timedelta(days=days * back) for back in reversed(range(count))]
    return [(end - timedelta(days=days - 1), end) for end in ends]


def months(until: date, count: int, oldest: date) -> list[Span]:
    """At most `count` calendar months up to that of `until`, which ends there, from `oldest`'s on."""
    last = Month(until.year, until.month)
    listed = [last.plus(-back) for back in reversed(range(count))]
    spans = [(month.first_day, month.plus(1).first_day - timedelta(days=1)) for month in listed]
    return [(first, min(end, until)) for first, end in spans if end >= oldest]


def _before(history: list[Span]) -> Span:
    """The month before the first of them."""
    last = (history[0][0] if history else date.max) - timedelta(days=1)
    return last.replace(day=1), last


def _days(first: date, last: date) -> Iterable[date]:
    return (first + timedelta(days=day) for day in range((last - first).days + 1))


def _age(newest: datetime | None, until: date) -> float | None:
    """Days from the newest row to the end of `until`."""
    return None if newest is None else round((observed.end_of(until) - newest) / timedelta(days=1), 4)


@dataclass(frozen=True)
class _View:
    """What the windows of one record share. `whose` first answers they are of: OURS or EVERY."""

    found: Observed
    whose: str
    reference: Reference
    policy: MonitorPolicy
    scatter: Scatter | None
    days: NDArray[np.datetime64]
    now: datetime

    @classmethod
    def of(
        cls,
        found: Observed,
        whose: str,
        reference: Reference,
        policy: MonitorPolicy,
        until: date,
        now: datetime,
    ) -> _View:
        counted = (found.ours if whose == OURS else found.every).tallies
        days = np.array(counted.days if counted else [], dtype="datetime64[D]")
        scatter = None
        if counted is not None:
            spans = trailing(until, policy.window_days, policy.windows)
            scatter = Scatter.of(counted, [_inside(days, span) for span in spans], reference)
        return cls(found, whose, reference, policy, scatter, days, now)

    @property
    def answered(self) -> Answered:
        return self.found.ours if self.whose == OURS else self.found.every

    def windows(self, names: list[str], spans: list[Span]) -> list[drift.Window]:
        """One for each name; `spans` has the one before the first, too."""
        pairs = itertools.pairwise(spans)
        return [self.window(name, span, before) for name, (before, span) in zip(names, pairs, strict=True)]

    def window(self, name: str, span: Span, before: Span) -> drift.Window:
        first, last = span
        rows = self.found.outcomes(first, last, self.whose)
        block, blocks = bootstrap.block_codes(rows[BLOCK])
        versions: Counter[str] = Counter()
        for day, counted in self.found.versions.items():
            if first <= day <= last:
                versions.update(counted)
        alone = self.whose == OURS or not versions.keys() - {self.reference.record.version}
        measured, estimated = self._performance(rows, block, promised=alone)
        columns, score, target = self._columns(span, before)
        return drift.Window(
            name=name,
            first=first.isoformat(),
            last=last.isoformat(),
            rows=rows.height,
            blocks=blocks,
            versions={inert(name): number for name, number in sorted(versions.items())},
            duplicates=sum(n for day, n in self.answered.duplicates.items() if first <= day <= last),
            labels=self._labels(rows),
            figures=measured.figures if measured else {},
            against=measured.against if measured else {},
            excess=measured.excess if measured else None,
            recoverable=measured.recoverable if measured else None,
            estimated=estimated,
            columns=columns,
            score=score,
            target=target,
        )

    def _labels(self, rows: pl.DataFrame) -> drift.Labels:
        reasons = rows[REASON].drop_nulls().value_counts().sort(REASON)
        joined = rows.filter(pl.col(TARGET).is_not_null())
        pending = rows.filter(pl.col(TARGET).is_null() & pl.col(REASON).is_null())
        overdue = pending[TIME] + timedelta(days=self.policy.label_lag_days) < self.now
        possible = joined.height + pending.height
        return drift.Labels(
            joined=joined.height,
            pending=pending.height,
            late=int(overdue.sum()),
            excluded={inert(name): number for name, number in reasons.iter_rows()},
            share=round(joined.height / possible, 6) if possible else None,
            blocks=joined[BLOCK].n_unique() if joined.height else 0,
        )

    def _performance(
        self, rows: pl.DataFrame, block: NDArray[np.int64], *, promised: bool
    ) -> tuple[performance.Measured | None, Figure | None]:
        """`promised`: all of it is of the version whose recorded figures and threshold are known."""
        if not rows.height:
            return None, None
        table, policy = self.reference.table, self.policy
        score = as_array(rows[SCORE], table.task, len(table.classes))
        every = Answers(table.task, score, block)
        estimated = performance.estimated(every, policy.resamples, policy.confidence)
        has = rows[TARGET].is_not_null()
        if not has.any():
            return None, estimated
        some = has.to_numpy()
        labelled = rows.filter(has)
        codes, _ = bootstrap.block_codes(labelled[BLOCK])
        answers = Answers(table.task, score[some], codes, numeric_target(labelled[TARGET], self.reference))
        measured = performance.measured(
            answers,
            self.reference.record.figures if promised else {},
            self.reference.decision if promised else None,
            self.reference.bins,
            policy.resamples,
            policy.confidence,
        )
        return measured, estimated

    def _columns(
        self, span: Span, before: Span
    ) -> tuple[list[ColumnDrift], ColumnDrift | None, ColumnDrift | None]:
        counted, scatter, reference = self.answered.tallies, self.scatter, self.reference
        if counted is None or scatter is None:
            return [], None, None
        days, earlier = _inside(self.days, span), _inside(self.days, before)
        columns = [
            tallies.column_drift(
                tally, reference.columns[name], days, earlier, scatter.columns.get(name), reference.days
            )
            for name, tally in counted.columns.items()
        ]
        score = tallies.column_drift(
            counted.score, reference.score_bins, days, earlier, scatter.score, reference.score_days
        )
        target = tallies.column_drift(
            counted.target, reference.target_bins, days, earlier, scatter.target, reference.days
        )
        return columns, score, target if target.rows else None


def numeric_target(target: pl.Series, reference: Reference) -> performance.Array:
    """Targets [n] as numbers: 0/1, the class's place, or the value."""
    if reference.table.task == "multiclass":
        classes = reference.table.classes
        return target.replace_strict(classes, range(len(classes)), return_dtype=pl.Float64).to_numpy()
    return target.cast(pl.Float64).to_numpy()


def _inside(days: NDArray[np.datetime64], span: Span) -> NDArray[np.int64]:
    first, last = np.datetime64(span[0], "D"), np.datetime64(span[1], "D")
    return np.nonzero((days >= first) & (days <= last))[0]
