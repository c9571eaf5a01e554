"""Pure: the rules of the watch, one function each. `watching` says why they are as they are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from mainline import streamrules
from mainline.drift import ColumnDrift, Drift, Window
from mainline.findings import (
    Finding,
    Verdict,
    ends,
    finding,
    interval,
    number,
    over,
    percent,
    period,
    plain,
    same_side,
    worsening,
)  # fmt: skip
from mainline.policy import MonitorPolicy
from mainline.records import Figure
from mainline.schema import Task

DECIDING: dict[Task, str] = {"binary": "log_loss", "multiclass": "log_loss", "regression": "rmse"}


def judged(window: Window, policy: MonitorPolicy) -> bool:
    """Enough rows, blocks and labels for its figures to decide."""
    labels = window.labels
    return (
        labels.joined >= policy.minimum_rows
        and min(window.blocks, labels.blocks or window.blocks) >= policy.minimum_blocks
        and labels.share is not None
        and labels.share >= policy.labelled_share
    )


# What was there to look at.


def amounts(drift: Drift, policy: MonitorPolicy) -> list[Finding]:
    if not drift.recent:
        return [finding("rows", "volume", "insufficient", "recent", 0, policy.minimum_rows, "no predictions")]
    newest = drift.recent[-1]
    few = newest.rows < policy.minimum_rows or newest.blocks < policy.minimum_blocks
    text = f"{newest.rows:,} predictions on {newest.blocks} days"
    if newest.sampled is not None:
        text = f"{text}, figures of {newest.sampled:,} of them"
    if few:
        text = f"insufficient data: {text}, {policy.minimum_rows:,} on {policy.minimum_blocks} are needed"
    found = [
        finding(
            "rows",
            "volume",
            "insufficient" if few else "quiet",
            newest.name,
            newest.rows,
            policy.minimum_rows,
            text,
        )
    ]
    return [*found, *_labels(newest, policy), *streamrules.stream(drift, policy)]


def _labels(window: Window, policy: MonitorPolicy) -> list[Finding]:
    labels, limit = window.labels, policy.labelled_share
    share = labels.share
    told = "no row can have a label yet" if share is None else f"{percent(share)} of labels"
    if judged(window, policy):
        return [finding("labels", "labels", "quiet", window.name, share, limit, told)]
    if share is not None and share >= limit:
        text = f"insufficient data: {labels.joined:,} labels on {labels.blocks} days, its loss is not judged"
        return [finding("labels", "labels", "insufficient", window.name, share, limit, text)]
    text = f"pending, {told}: its loss is not judged"
    possible = labels.joined + labels.pending
    if possible and labels.late / possible > 1 - limit:
        text = f"labels are late, {labels.late:,} of {possible:,}: {text}"
        return [finding("labels", "labels", "watch", window.name, share, limit, text)]
    return [finding("labels", "labels", "insufficient", window.name, share, limit, text)]


# Broken input: in the newest days, by column.


def faults(drift: Drift, policy: MonitorPolicy) -> list[Finding]:
    window = drift.newest
    if window is None or window.rows < policy.limits.rows:
        return []
    found = [
        one
        for column in sorted(window.columns, key=lambda c: c.name)
        for one in _column_faults(window.name, column, policy)
    ]
    skill = window.figures.get("skill")
    if skill is not None and skill.value is not None and window.labels.joined >= policy.limits.rows:
        text = f"skill {number(skill.value)} on the newest days: answers or labels are turned round"
        found.append(
            over("inverted", "fault", window.name, None, -skill.value, policy.limits.negative_skill, text)
        )
    return [one for one in found if one.outcome != "quiet"]


def _column_faults(window: str, column: ColumnDrift, policy: MonitorPolicy) -> Iterable[Finding]:
    name, distance = plain(column.name), column.distance or 0.0
    if column.constant and column.nulls < policy.limits.nulls:
        text = f"{name} has one value, and had others in training (distance {distance:.2f})"
        yield over("constant", "fault", window, column.name, distance, policy.limits.constant_distance, text)
    jumps = (
        ("nulls", "without a value", column.nulls, column.nulls_reference),
        ("unknown", "values that the model does not know", column.unknown, column.unknown_reference),
        (
            "out of range",
            "outside what the schema allows",
            column.out_of_range,
            column.out_of_range_reference,
        ),
    )
    for what, meaning, share, before in jumps:
        limit = policy.limits.nulls if what == "nulls" else policy.limits.share
        when = "when it was made" if what == "unknown" else "in training"
        text = f"{name}: {percent(share)} {meaning}, {percent(before)} {when}"
        yield over(what, "fault", window, column.name, share - before, limit, text)
    if column.skew is not None:
        text = f"{name}: {percent(column.skew)} of the served values are not those computed from the raw data"
        yield over("skew", "fault", window, column.name, column.skew, policy.limits.share, text)


# Labelled loss and calibration.


def performance(task: Task, judged: Sequence[Window], policy: MonitorPolicy) -> list[Finding]:
    """The alarms over all judged windows together; the newest must show the same."""
    name = DECIDING[task]
    found = [_loss(name, judged)]
    if task != "regression":  # a value expects no loss of itself
        found.append(_excess([(window, window.excess) for window in judged]))
    what = name if task == "regression" else "loss"
    return [*found, _recoverable([(window, window.recoverable) for window in judged], policy, what)]


Pairs = Sequence[tuple[Window, Figure | None]]


def _loss(name: str, judged: Sequence[Window]) -> Finding:
    pairs = [(window, window.against.get(name)) for window in judged]
    joined = together(pairs)
    turned = worsening(name, joined)
    text = f"{name.replace('_', ' ')} {interval(joined)} against the recorded one"
    if turned is None or joined is None:
        return finding(
            "loss", "performance", "quiet", period(judged), None, None, f"{text}: cannot be compared"
        )
    newest = worsening(name, pairs[-1][1])
    alarm = turned[0] > 0 and newest is not None and newest[1] > 0
    outcome: Verdict = "watch" if alarm else "quiet"
    return finding("loss", "performance", outcome, period(judged), joined.value, 0.0, text)


def _excess(pairs: Pairs) -> Finding:
    joined = together(pairs)
    span = period([window for window, _ in pairs])
    text = f"loss {interval(joined)} beyond what the answers expect of themselves"
    low, value, high = ends(joined)
    alarm = low is not None and high is not None and (low > 0 or high < 0) and same_side(value, pairs[-1][1])
    return finding("excess", "calibration", "watch" if alarm else "quiet", span, value, 0.0, text)


def _recoverable(pairs: Pairs, policy: MonitorPolicy, what: str) -> Finding:
    joined = together(pairs)
    span = period([window for window, _ in pairs])
    low, value, _ = ends(joined)
    seen = sum(figure is not None and (figure.value or 0) > 0 for _, figure in pairs)
    text = f"a recalibration alone would take {interval(joined)} off the {what}"
    certain = low is not None and low > 0 and value is not None and same_side(value, pairs[-1][1])
    if certain and value is not None and value >= policy.limits.gain and seen >= policy.limits.persistence:
        text = f"{text}, in {seen} of {len(pairs)} windows"
        return finding("recoverable", "calibration", "retrain", span, value, policy.limits.gain, text)
    return finding(
        "recoverable", "calibration", "watch" if certain else "quiet", span, value, policy.limits.gain, text
    )


def together(pairs: Pairs) -> Figure | None:
    """The mean over windows by their labelled rows; null where no window has an interval."""
    known = [
        (window.labels.joined, figure.value, figure.low, figure.high)
        for window, figure in pairs
        if figure is not None
        and figure.value is not None
        and figure.low is not None
        and figure.high is not None
    ]
    rows = sum(one[0] for one in known)
    if not rows:
        return None
    value = sum(n * v for n, v, _, _ in known) / rows
    down = math.sqrt(sum((n / rows * (v - low)) ** 2 for n, v, low, _ in known if low is not None))
    up = math.sqrt(sum((n / rows * (high - v)) ** 2 for n, v, _, high in known if high is not None))
    return Figure(value=value, low=value - down, high=value + up)


# Drift: it explains; without labels it can ask.


def drifted(drift: Drift, policy: MonitorPolicy, *, labelled: bool) -> list[Finding]:
    windows = [
        window
        for window in drift.recent
        if window.rows >= policy.minimum_rows and window.blocks >= policy.minimum_blocks
    ]
    if not windows or windows[-1] is not drift.recent[-1]:
        return []
    newest, found = windows[-1], []
    many = len(newest.columns)
    moved = [one for one in newest.columns if _beyond(one, policy.limits.drift_distance, many)]
    for column in sorted(moved, key=lambda one: (-(one.distance or 0), one.name)):
        limit = policy.limits.drift_distance
        text = f"{plain(column.name)} has moved by {column.distance:.2f} (chance {column.noise or 0:.2f})"
        text += _since(column, _least(column, limit, many))
        found.append(
            finding("column drift", "drift", "quiet", newest.name, column.distance, limit, text, column.name)
        )
    scores = [window.score for window in windows]
    lasting = [one for one in scores if one and _beyond(one, policy.limits.drift_distance, 1)]
    if score := newest.score:
        large = len(lasting) == len(scores) and len(scores) >= policy.limits.persistence
        outcome: Verdict = "watch" if large and not labelled else "quiet"
        text = (
            f"the answers have moved by {score.distance or 0:.2f} in {len(lasting)} of {len(scores)} windows"
        )
        found.append(
            finding(
                "lasting drift",
                "drift",
                outcome,
                newest.name,
                score.distance,
                policy.limits.drift_distance,
                text,
            )
        )
    return found


def _since(column: ColumnDrift, least: float) -> str:
    """Whether that is new: beside the windows before, and beside the same season."""
    text = ""
    if column.before is not None and column.before > least:
        text = f", by {column.before:.2f} since the windows before"
    if column.season is None:
        return text
    return f"{text}, by {column.season:.2f} in a year" if column.season > least else f"{text}, as a year ago"


def _beyond(column: ColumnDrift, limit: float, columns: int) -> bool:
    return column.distance is not None and column.distance > _least(column, limit, columns)


def _least(column: ColumnDrift, limit: float, columns: int) -> float:
    """The limit, or chance where that is larger: `noise` is one column's, the largest of many some larger."""
    return max(limit, (column.noise or 0) * (1 + math.log10(max(1, columns))))
