"""Which days a window is of, and which it is compared with. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from mainline.policy import MonitorPolicy
from mainline.settings import Month

Span = tuple[date, date]  # first and last day, both included
YEAR = timedelta(weeks=52)  # the same weekdays


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


def oldest(until: date, policy: MonitorPolicy) -> date:
    """The first day that any window looks at, or is compared with. Raises OverflowError, ValueError."""
    recent = trailing(until, policy.window_days, policy.windows)[0]
    newest = trailing(until, policy.fault_days, 1)[0]
    history = months(until, policy.months, date.min)[0]
    compared = [earlier(span, policy.windows) for span in (recent, newest, history)]
    return min(span[0] for span in (*compared, year_before(recent), year_before(newest)))


def earlier(span: Span, windows: int) -> Span:
    """So many windows of its length, right before it."""
    first, last = span
    return first - ((last - first) + timedelta(days=1)) * windows, first - timedelta(days=1)


def year_before(span: Span) -> Span:
    """The same weekdays of the same season."""
    return span[0] - YEAR, span[1] - YEAR


def days(first: date, last: date) -> Iterable[date]:
    return (first + timedelta(days=day) for day in range((last - first).days + 1))
