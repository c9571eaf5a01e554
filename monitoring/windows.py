"""The record of the watch, window by window, from what was observed by day."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mainline import drift
from mainline.drift import ColumnDrift, Drift, Quality
from mainline.policy import MonitorPolicy
from mainline.records import Figure
from monitoring import observed, performance, shifts, spans
from monitoring.observed import BLOCK, EVERY, OURS, TARGET, Answered, Observed
from monitoring.outcomes import Seen
from monitoring.performance import Answers
from monitoring.reading import Found
from monitoring.reference import SCORE, Reference, as_array
from monitoring.shifts import Past, Scatter
from monitoring.spans import Span
from monitoring.tallies import Tally
from pipeline.evaluation import bootstrap
from pipeline.text import inert


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
    recent = spans.trailing(until, policy.window_days, policy.windows)
    newest = spans.trailing(until, policy.fault_days, 1)
    history = spans.months(until, policy.months, min(found.volume, default=until))
    names = [f"recent {number} of {len(recent)}" for number in range(1, len(recent) + 1)]
    newest_row = max((time for day, time in found.newest.items() if day <= until), default=None)
    return Drift(
        task=reference.table.task,
        reference=reference.record,
        until=until.isoformat(),
        malformed=log.malformed.model_copy(update={"days": log.malformed_days(recent[0][0], until)}),
        recent=[view.window(name, span) for name, span in zip(names, recent, strict=True)],
        newest=view.window("newest", newest[0]),
        months=[shown.window(span[0].strftime("%Y-%m"), span) for span in history],
        backtest=None,
        quality=Quality(
            lines=log.lines,
            volume={day.isoformat(): found.volume.get(day, 0) for day in spans.days(recent[0][0], until)},
            newest=None if newest_row is None else newest_row.isoformat(),
            age_days=_age(newest_row, until),
            missing=dict(sorted(log.missing.items())),
            extra=dict(sorted(log.extra.items())),
            unknown_labels=found.unknown_labels,
            read={day.isoformat(): log.lines_of(day, until) for day in spans.days(recent[0][0], until)},
            others=log.others,
        ),
        labelled_share=policy.labelled_share,
    )


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
            windows = spans.trailing(until, policy.window_days, policy.windows)
            scatter = Scatter.of(counted, [_inside(days, span) for span in windows], reference)
        return cls(found, whose, reference, policy, scatter, days, now)

    @property
    def answered(self) -> Answered:
        return self.found.ours if self.whose == OURS else self.found.every

    def window(self, name: str, span: Span) -> drift.Window:
        first, last = span
        seen = self._seen(span)
        versions: Counter[str] = Counter()
        for day, counted in self.found.versions.items():
            if first <= day <= last:
                versions.update(counted)
        alone = self.whose == OURS or not versions.keys() - {self.reference.record.version}
        measured, estimated = self._performance(seen, promised=alone)
        columns, score, target = self._columns(span)
        return drift.Window(
            name=name,
            first=first.isoformat(),
            last=last.isoformat(),
            rows=seen.rows,
            blocks=seen.blocks,
            versions={inert(name): number for name, number in sorted(versions.items())},
            duplicates=sum(n for day, n in self.answered.duplicates.items() if first <= day <= last),
            labels=seen.labels,
            figures=measured.figures if measured else {},
            against=measured.against if measured else {},
            excess=measured.excess if measured else None,
            recoverable=measured.recoverable if measured else None,
            estimated=estimated,
            columns=columns,
            score=score,
            target=target,
            sampled=seen.sampled,
        )

    def _seen(self, span: Span) -> Seen:
        counted = self.answered.tallies
        rows = int(counted.score.odd[_inside(self.days, span), 0].sum()) if counted else 0
        lag = timedelta(days=self.policy.label_lag_days)
        return Seen.of(self.found.outcomes(*span, self.whose), rows, lag, self.now)

    def _performance(
        self, seen: Seen, *, promised: bool
    ) -> tuple[performance.Measured | None, Figure | None]:
        """`promised`: all of it is of the version whose recorded figures and threshold are known."""
        if not seen.rows:
            return None, None
        table, policy, rows = self.reference.table, self.policy, pl.concat(seen.held)
        score = as_array(rows[SCORE], table.task, len(table.classes))
        block, _ = bootstrap.block_codes(rows[BLOCK])
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

    def _columns(self, span: Span) -> tuple[list[ColumnDrift], ColumnDrift | None, ColumnDrift | None]:
        """What callers send is compared with what they sent before, whichever version answered; answers with
        those of the versions that this view is of.
        """
        counted, scatter, reference = self.answered.tallies, self.scatter, self.reference
        if counted is None or scatter is None:
            return [], None, None
        days, every = _inside(self.days, span), self.found.every.tallies or counted
        columns = [
            shifts.column_drift(
                tally,
                reference.columns[name],
                days,
                self._past(every.columns[name], every.days, span),
                scatter.columns.get(name),
                reference.days,
            )
            for name, tally in counted.columns.items()
        ]
        score = shifts.column_drift(
            counted.score,
            reference.score_bins,
            days,
            self._past(counted.score, counted.days, span),
            scatter.score,
            reference.score_days,
        )
        target = shifts.column_drift(
            counted.target,
            reference.target_bins,
            days,
            self._past(every.target, every.days, span),
            scatter.target,
            reference.days,
        )
        return columns, score, target if target.rows else None

    def _past(self, tally: Tally, days: tuple[date, ...], span: Span) -> Past:
        """`tally` is of `days`."""
        dates = np.array(days, dtype="datetime64[D]")
        before = _inside(dates, spans.earlier(span, self.policy.windows))
        season = _inside(dates, spans.year_before(span))
        enough = 2 * len(season) >= len(_inside(self.days, span)) > 0
        return Past(tally, before, season if enough else None)


def numeric_target(target: pl.Series, reference: Reference) -> performance.Array:
    """Targets [n] as numbers: 0/1, the class's place, or the value."""
    if reference.table.task == "multiclass":
        classes = reference.table.classes
        return target.replace_strict(classes, range(len(classes)), return_dtype=pl.Float64).to_numpy()
    return target.cast(pl.Float64).to_numpy()


def _inside(days: NDArray[np.datetime64], span: Span) -> NDArray[np.int64]:
    first, last = np.datetime64(span[0], "D"), np.datetime64(span[1], "D")
    return np.nonzero((days >= first) & (days <= last))[0]
