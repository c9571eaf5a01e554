"""Pure: what the bot takes from the watch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

from mainline.drift import Drift, Window
from mainline.errors import RecordError
from mainline.policy import MonitorPolicy
from mainline.settings import Month
from mainline.watching import Watch

SUBJECT = 200  # characters of the reason in a commit's message


@dataclass(frozen=True, slots=True)
class Wish:
    """What the watch found, and what a person says besides: `force`, and a month instead of the newest."""

    watch: Watch
    drift: Drift
    force: bool = False
    as_of: Month | None = None


def check(watch: Watch, drift: Drift) -> None:
    """Raises RecordError unless both speak of the same release and day."""
    reference = drift.reference
    if (watch.model, watch.release, watch.until) == (reference.model, reference.version, drift.until):
        return
    raise RecordError(
        "reports/watch.json and reports/drift.json do not belong together",
        why=f"{watch.release!r} until {watch.until!r}, and {reference.version!r} until {drift.until!r}",
        remedy="mainline monitor",
    )


def newest_month(drift: Drift, policy: MonitorPolicy) -> Window | None:
    """The newest month that is over, with enough labels, and none that may still come."""
    return next((window for window in reversed(drift.months) if _complete(window, policy)), None)


def _complete(window: Window, policy: MonitorPolicy) -> bool:
    labels = window.labels
    if labels.share is None or labels.share < policy.labelled_share or labels.pending > labels.late:
        return False
    last = date.fromisoformat(window.last)
    return (last + timedelta(days=1)).day == 1


def month_of(window: Window) -> Month:
    """The calendar month of such a window. Raises ConfigError."""
    return Month.parse(window.last[:7])


def spoken(text: str) -> str:
    """A reason for a commit's message: no word in it is a command to the forge (closes #1, [skip ci])."""
    plain = re.sub(r"[^\w\s.,:;()+=%-]", " ", text.replace("[", "(").replace("]", ")"), flags=re.ASCII)
    words = " ".join(plain.split())
    return re.sub(r"(?i)\b(skip|no)([ -])(ci|checks|actions)\b|\b(ci)([ -])(skip)\b", "…", words)[:SUBJECT]
