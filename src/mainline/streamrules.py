"""Pure: the watch's rules about the stream of predictions: does it come, whole, and as much as usual?"""

from __future__ import annotations

from collections import Counter
from datetime import date
from statistics import median

from mainline.drift import NOT_PARQUET, Drift, Malformed, Quality
from mainline.findings import Finding, over, percent, plain
from mainline.policy import MonitorPolicy


def stream(drift: Drift, policy: MonitorPolicy) -> list[Finding]:
    """Lines that cannot be used, a stream that stopped, and days with much less than usual."""
    quality = drift.quality
    if quality is None:
        return []
    return [
        *_malformed(drift.malformed, quality, policy),
        *_freshness(quality, drift.until, policy),
        *_volume(quality, policy),
    ]


def _malformed(malformed: Malformed, quality: Quality, policy: MonitorPolicy) -> list[Finding]:
    """Of the newest days alone: what was once written stays in the log."""
    newest = sorted(quality.read)[-policy.fault_days :]
    reasons = sum((Counter(malformed.days.get(day, {})) for day in newest), Counter[str]())
    lines = sum(quality.read[day] for day in newest)
    found = _damaged(reasons.pop(NOT_PARQUET, 0))
    if not reasons or lines < policy.limits.rows:
        return found
    share = reasons.total() / lines
    most = max(reasons, key=lambda name: (reasons[name], name))
    text = f"{percent(share)} of the newest days' lines cannot be used, most: {plain(most)}"
    return [*found, over("malformed", "fault", "newest", None, share, policy.limits.malformed, text)]


def _damaged(files: int) -> list[Finding]:
    """No share says how much was in them."""
    if not files:
        return []
    text = f"{files} of the newest days' Parquet files cannot be read, wholly or from some row on"
    return [over("damaged", "fault", "newest", None, files, 0, text)]


def _freshness(quality: Quality, until: str, policy: MonitorPolicy) -> list[Finding]:
    """Days since the newest row, without those whose weekday usually has none."""
    if quality.age_days is None or quality.newest is None:
        return []
    last = quality.newest[:10]
    usual = _usual(quality.volume, last)
    silent = sum(_weekday(day) in usual and not usual[_weekday(day)] for day in quality.volume if day > last)
    text = f"the newest prediction was {quality.age_days:.1f} days old at the end of {until}"
    if silent:
        text = f"{text}, {silent} of them without any as in other weeks"
    age = max(0.0, quality.age_days - silent)
    return [over("freshness", "volume", "log", None, age, policy.fault_days, text)]


def _volume(quality: Quality, policy: MonitorPolicy) -> list[Finding]:
    """The newest days against the same weekdays before; where too few rows are usual, nothing is said."""
    days = sorted(quality.volume)
    newest, before = days[-policy.fault_days :], days[: -policy.fault_days]
    if not before or quality.newest is None:
        return []
    usual = _usual(quality.volume, min(before[-1], quality.newest[:10]))
    known = [day for day in newest if _weekday(day) in usual]
    expected = sum(usual[_weekday(day)] for day in known)
    if expected < policy.limits.rows:
        return []
    lost = 1 - sum(quality.volume[day] for day in known) / expected
    share = percent(max(0.0, 1 - lost))
    text = f"{share} of the usual predictions of these weekdays, on the newest {len(newest)} days"
    return [over("volume", "volume", "newest", None, lost, policy.limits.volume_drop, text)]


def _usual(volume: dict[str, int], last: str) -> dict[int, float]:
    """Median rows by weekday, from the first day that has any up to `last`."""
    first = min((day for day, rows in volume.items() if rows), default=last)
    by_weekday: dict[int, list[int]] = {}
    for day, rows in volume.items():
        if first <= day <= last:
            by_weekday.setdefault(_weekday(day), []).append(rows)
    return {weekday: median(rows) for weekday, rows in by_weekday.items()}


def _weekday(day: str) -> int:
    return date.fromisoformat(day).weekday()
