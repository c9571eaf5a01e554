"""Pure: when a backtest is worth its training, and what its result asks for.

An alarm is a reason; so is a training window that is still growing (`monitor.retrain.train_months`): then a
retrained model learns from more months than the one in production, and may be better though nothing got
worse. A window that slides gives no such reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from mainline.drift import Drift, Reference
from mainline.findings import SEVERITY, Finding, Verdict, finding, interval, turn, worsening
from mainline.policy import MonitorPolicy
from mainline.records import Figure
from mainline.retraining.parameters import Data
from mainline.settings import Month
from mainline.watchrules import DECIDING

ALARMS = ("loss", "excess", "recoverable", "lasting drift")  # names of findings that a backtest can decide
NAME, GROWTH = "backtest", "more data"  # of the findings here


def findings(
    drift: Drift, found: Sequence[Finding], policy: MonitorPolicy, *, waiting: bool, judged: bool
) -> list[Finding]:
    """What a backtest showed, or that one is due.

    `waiting`: whether a cooldown holds a retraining back. `judged`: whether the newest window can be judged;
    else more months are no reason, or a service that fell silent would be hidden behind a retraining.
    """
    alarms = [one for one in found if one.name in ALARMS and SEVERITY[one.outcome] >= SEVERITY["watch"]]
    month = newest_labelled_month(drift, policy.labelled_share)
    growth = _growth(drift.reference, month, policy.retrain.train_months) if month and judged else ""
    figure = (drift.backtest or {}).get(DECIDING[drift.task])
    if drift.backtest is not None:
        return [_result(drift, figure, policy, month or "", growth, reason=bool(alarms or growth))]
    if alarms:
        text = (
            f"not run: would a model trained up to {month} be better?" if month else "no new labelled month"
        )
        outcome: Verdict = "watch" if month and not waiting else "quiet"
        return [finding(NAME, "backtest", outcome, month or "", None, policy.limits.gain, text)]
    if growth and not waiting:
        text = f"a backtest is due: a retrained model would learn from {growth}"
        return [finding(GROWTH, "backtest", "quiet", month or "", None, policy.limits.gain, text)]
    return []


def wanted(findings: Sequence[Finding]) -> bool:
    """Whether a backtest would change the answer: there is a reason, and nothing holds a retraining back."""
    names = {(one.name, one.outcome) for one in findings}
    held = any(one.kind == "fault" and one.outcome == "watch" for one in findings)
    return not held and bool(names & {(NAME, "watch"), (GROWTH, "quiet")})


def newest_labelled_month(drift: Drift, share: float) -> str | None:
    """The newest whole calendar month with labels that the model in production has answered in, and has not
    been tested on yet.
    """
    known = max((months[-1] for months in drift.reference.windows.values() if months), default="")
    for window in reversed(drift.months):
        month = Month.parse(window.first[:7])
        whole = window.last == (month.plus(1).first_day - timedelta(days=1)).isoformat()
        answered = drift.reference.version in window.versions
        if whole and answered and str(month) > known and (window.labels.share or 0) >= share:
            return str(month)
    return None


def _growth(reference: Reference, month: str, most: int) -> str:
    """`5 months instead of 4`, if a retraining up to `month` has a longer training window; else nothing."""
    train = reference.windows.get("train")
    if not train:
        return ""
    last = max(ends[-1] for ends in reference.windows.values() if ends)
    before = Data(Month.parse(last), Month.parse(train[-1]).since(Month.parse(train[0])) + 1)
    after = before.moved(Month.parse(month), most)
    if after.train_months <= before.train_months:
        return ""
    return f"{after.train_months} months instead of {before.train_months}"


def _result(
    drift: Drift, figure: Figure | None, policy: MonitorPolicy, month: str, growth: str, *, reason: bool
) -> Finding:
    name, least = DECIDING[drift.task], policy.limits.gain
    turned = worsening(name, figure)
    whose = f"a retrained model, of {growth}" if growth else "a retrained model"
    text = f"{whose}: {name.replace('_', ' ')} {interval(figure)} on the newest month"
    if figure is None or turned is None:
        return finding(NAME, "backtest", "quiet", month, None, least, f"{text}: cannot tell")
    gains = turned[1] < 0 and -turn(name, figure.value or 0) >= least
    return finding(
        NAME, "backtest", "retrain" if gains and reason else "quiet", month, figure.value, least, text
    )
