"""Pure: what holds the bot back. What cannot be counted counts as too much."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from mainline.errors import RecordError
from mainline.policy import MonitorPolicy
from mainline.retraining import markers
from mainline.retraining.markers import Marker, Training
from mainline.retraining.state import Pull, State

ON_RECORD = 200  # trainings of a month; 107 characters of a description each, and GitHub takes 65,536
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def marker_of(pull: Pull) -> Marker | None:
    """The marker of a pull request; None where it has none, or one that cannot be read."""
    try:
        return markers.read(pull.body)
    except RecordError:
        return None


def recorded(old: list[Training], state: State) -> list[Training]:
    """What was recorded this month, and the training that the branch's own commit asked for; its hours as
    the lock's commit tells them, until then what was recorded, until then what is expected.

    Earlier months are dropped: no limit looks at them, and a description that keeps them grows for ever.
    """
    branch, this_month = state.branch, state.now.astimezone(UTC).strftime("%Y-%m")
    known = {one.commit: one for one in old}
    kept = {name: one for name, one in known.items() if _day(one).strftime("%Y-%m") >= this_month}
    if branch is None or branch.made is None or branch.at is None:
        return list(kept.values())
    if branch.made in known and branch.hours is None:
        kept[branch.made] = known[branch.made]
    else:
        hours = branch.hours if branch.hours is not None else state.expected_hours
        kept[branch.made] = Training(commit=branch.made, at=branch.at, hours=round(hours, 3))
    return list(kept.values())


def _day(training: Training) -> date:
    return datetime.fromisoformat(training.at).astimezone(UTC).date()


def uncountable(state: State) -> str:
    """Why nothing can be counted, so nothing may be started; empty when it can."""
    for pull in state.mine:
        if pull.state == "open" or _this_month(pull.closed, state.now):
            try:
                markers.read(pull.body)
            except RecordError as error:
                return f"{error.what} (#{pull.number}): {error.remedy}"
    return ""


def too_many(state: State, policy: MonitorPolicy) -> str:
    """Why the branch may not be moved now; empty when it may."""
    limits = policy.retrain
    today = state.now.astimezone(UTC).date()
    counted = [(_day(one), one) for one in _trainings(state)]
    if sum(day == today for day, _ in counted) >= limits.daily_limit:
        return f"the limit of {limits.daily_limit} a day is reached"
    if len(counted) >= ON_RECORD:
        return f"{len(counted)} trainings are on record this month, and no more than {ON_RECORD} are kept"
    hours = sum(one.hours for day, one in counted if (day.year, day.month) == (today.year, today.month))
    if hours + state.expected_hours > limits.gpu_hours:
        expected = f"{state.expected_hours:.1f} more would be above {limits.gpu_hours:g}"
        return f"{hours:.1f} hours of training are recorded this month, and {expected}"
    return ""


def _trainings(state: State) -> list[Training]:
    """Trainings on record of this month, each once; a pull request that somebody opened by hand is one."""
    found: dict[str, Training] = {}
    for pull in state.mine:
        marker = marker_of(pull)
        if marker is not None:
            found |= {one.commit: one for one in marker.trainings}
        elif not markers.LINE.search(pull.body):
            at, name = pull.created.astimezone(UTC).isoformat(timespec="seconds"), f"{pull.number:012x}"
            found[name] = Training(commit=name, at=at, hours=state.expected_hours)
    return recorded(list(found.values()), state)


def _this_month(closed: datetime | None, now: datetime) -> bool:
    if closed is None:
        return True
    closed, now = closed.astimezone(UTC), now.astimezone(UTC)
    return (closed.year, closed.month) >= (now.year, now.month)


def too_many_open(state: State, policy: MonitorPolicy) -> str:
    """Why no further pull request may be opened; empty when one may."""
    count = sum(pull.state == "open" for pull in state.pulls)
    limit = policy.retrain.open_limit
    return f"the limit of {limit} open at once is reached" if count >= limit else ""


def not_now(state: State, policy: MonitorPolicy) -> str:
    """Why it is not the time to open one: cooldown, weekday; empty when it is."""
    ends = [pull.closed for pull in state.mine if pull.closed is not None]
    until = max(ends) + timedelta(days=policy.cooldown_days) if ends else None
    if until is not None and state.now < until:
        last = max(state.mine, key=lambda pull: pull.closed or pull.created)
        return f"cooldown after #{last.number}, until {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    days = policy.retrain.schedule
    if days and DAYS[state.now.astimezone(UTC).weekday()] not in days:
        return f"the schedule opens one on {', '.join(days)} (UTC) only"
    return ""


def rejections(state: State) -> list[Pull]:
    """Pull requests that people closed without a merge, the oldest first."""
    return [
        pull for pull in state.mine
        if pull.state == "closed" and (marker := marker_of(pull)) is not None and not marker.withdrawn
    ]  # fmt: skip
