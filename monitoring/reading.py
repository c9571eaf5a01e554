"""What reading the log came upon: which lines could not be used, why, and on which days."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from mainline.drift import Malformed
from pipeline.text import inert

SAMPLES = 5


@dataclass
class Found:
    """`lines`: in all; `days`: all of them by day; `last`: the day of the newest one read, if any says one.

    The rest as in the record's Malformed and Quality.
    """

    lines: int = 0
    others: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    samples: list[str] = field(default_factory=list)
    missing: Counter[str] = field(default_factory=Counter)
    extra: Counter[str] = field(default_factory=Counter)
    days: Counter[date] = field(default_factory=Counter)
    last: date | None = None
    _first: date | None = None
    _bad: dict[date, Counter[str]] = field(default_factory=dict)
    _undated: Counter[str] = field(default_factory=Counter)  # of before the first day; "": not malformed

    def refuse(self, reason: str, where: str, file: str, line: int, days: Mapping[date | None, int]) -> None:
        """Lines by day. `where`: the field. The first one of a reason is told: nothing of what it holds."""
        if self.reasons[reason] == 0:
            told = f"{reason}: {inert(where, 60)}" if where else reason
            if len(self.samples) < SAMPLES:
                self.samples.append(f"{told}: line {line}")
            print(f"malformed: {told}: {inert(file)}:{line}", file=sys.stderr, flush=True)
        self.reasons[reason] += sum(days.values())
        self.count(days, reason)

    @property
    def begun(self) -> bool:
        return self._first is not None

    def begin(self, day: date | None) -> None:
        """The day of a line, in their order: the first one that is known is that of the lines before."""
        self._first = self._first or day

    def count(self, days: Mapping[date | None, int], reason: str = "") -> None:
        """Lines by day, malformed ones for a reason. None: nothing before them said a day."""
        for day, lines in days.items():
            if day is None:
                self._undated[reason] += lines
                continue
            self._first = self._first or day
            self.days[day] += lines
            if reason:
                self._bad.setdefault(day, Counter())[reason] += lines

    @property
    def malformed(self) -> Malformed:
        reasons = dict(sorted(self.reasons.items()))
        return Malformed(lines=sum(reasons.values()), reasons=reasons, samples=self.samples)

    def malformed_days(self, first: date, until: date) -> dict[str, dict[str, int]]:
        """By day (ISO) and reason. What came before the first day is of that one, or of `until`."""
        bad = {day: Counter(reasons) for day, reasons in self._bad.items()}
        before = Counter({reason: lines for reason, lines in self._undated.items() if reason})
        if before:
            bad.setdefault(self._first or until, Counter()).update(before)
        return {
            day.isoformat(): dict(sorted(bad[day].items())) for day in sorted(bad) if first <= day <= until
        }

    def lines_of(self, day: date, until: date) -> int:
        """All lines of a day, those that cannot be used included."""
        return self.days[day] + (self._undated.total() if day == (self._first or until) else 0)
