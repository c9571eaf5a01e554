"""Pure: what production asks for: quiet, a closer look, or a retraining; with every number that decided.

Labelled loss and calibration decide; drift explains. A retraining is asked for when

- an alarm of the labelled windows stands (loss above the recorded one; loss beyond what the answers expect of
  themselves; loss that a recalibration would take away), and the backtest shows that a retrained model is
  certainly better on the newest month, by at least `gain`; or
- that recoverable loss is certain over all windows together, at least `gain`, and seen in `persistence` of
  them, and the backtest, where there is one, does not say that a retrained model is worse; or
- the training window still grows, and the backtest shows such a gain of learning from more months; or
- there are no labels to judge by, the answers have moved far in all windows, and the backtest shows a gain.

Anything less is a closer look, or quiet where the backtest has answered it: a loss that is higher because
the days are harder is expected by the answers themselves, and no retrained model is better. A fault (broken
input) and the time after a release hold a retraining back.

Windows are joined with their labelled rows as weights; their intervals as those of independent ones (MOVER:
Zou and Donner 2008). monitoring/README.md has what each of these rules did on the flights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Literal

from mainline import backtests, watchrules
from mainline.drift import Drift
from mainline.findings import SEVERITY, Finding, Verdict, finding, worsening
from mainline.policy import MonitorPolicy
from mainline.records import Record
from mainline.watchrules import DECIDING

__all__ = ["Finding", "Verdict", "Watch", "decide"]


class Watch(Record):
    """`reports/watch.json`. `evidence`: sha256 of what the verdict rests on, the bot's fingerprint: the
    same evidence on another day has the same one.
    """

    location = Path("reports/watch.json")
    version: Literal[1] = 1
    verdict: Verdict
    reason: str
    until: str
    model: str
    release: str
    findings: list[Finding]
    evidence: str


def decide(drift: Drift, policy: MonitorPolicy) -> Watch:
    """Every rule on the record. The clock is the record's `until`.

    The time after a retraining that was declined is the bot's to keep: it knows of pull requests.
    """
    judged = [window for window in drift.recent if watchrules.judged(window, policy)]
    current = bool(judged) and judged[-1] is drift.recent[-1]  # older windows alone decide nothing
    found = [
        *watchrules.amounts(drift, policy),
        *watchrules.faults(drift, policy),
        *(watchrules.performance(drift.task, judged, policy) if current else ()),
        *watchrules.drifted(drift, policy, labelled=current),
    ]
    waiting = _cooldown(drift, policy)
    found += backtests.findings(drift, found, policy, waiting=bool(waiting), judged=current)
    found = [_answered(one, found) for one in found]
    verdict, reason, held = _verdict(found, drift, waiting)
    found += held
    return Watch(
        verdict=verdict,
        reason=reason,
        until=drift.until,
        model=drift.reference.model,
        release=drift.reference.version,
        findings=sorted(found, key=lambda one: -SEVERITY[one.outcome]),
        evidence=_evidence(verdict, found, drift, policy),
    )


# What a retraining would bring, and what holds it back.


def _answered(one: Finding, found: Sequence[Finding]) -> Finding:
    """A higher loss than the recorded one is no reason to look when a retrained model has no lower one."""
    answer = next((other for other in found if other.name == "backtest"), None)
    if (one.name, one.outcome) != ("loss", "watch") or answer is None or answer.observed is None:
        return one
    if answer.outcome == "retrain":
        return one
    return one.model_copy(update={"outcome": "quiet", "text": f"{one.text}; {answer.text}"})


def _verdict(
    found: list[Finding], drift: Drift, waiting: list[Finding]
) -> tuple[Verdict, str, list[Finding]]:
    """The worst outcome and its reason, after what holds a retraining back; the findings of that."""
    worst = max(found, key=lambda one: SEVERITY[one.outcome])
    asking = [one for one in found if one.outcome == "retrain"]
    if not asking:
        return worst.outcome, worst.text if worst.outcome != "quiet" else _calm(found), []
    held: list[Finding] = []
    turned = worsening(DECIDING[drift.task], (drift.backtest or {}).get(DECIDING[drift.task]))
    if turned is not None and turned[0] > 0:
        text = "held back: a retrained model is certainly worse on the newest month"
        held.append(finding("worse", "backtest", "watch", "", turned[0], 0.0, text))
    if faults := [one for one in found if one.kind == "fault" and one.outcome == "watch"]:
        text = f"held back: retraining mends no broken input ({faults[0].text})"
        held.append(finding("held by a fault", "fault", "watch", faults[0].window, None, None, text))
    held += waiting
    if held:
        return "watch", f"{asking[0].text}; {held[0].text}", held
    return "retrain", "; ".join(one.text for one in asking), []


def _cooldown(drift: Drift, policy: MonitorPolicy) -> list[Finding]:
    """Held back for some days after the release. Days before it, of a replay, are none after it."""
    if drift.reference.promoted is None:
        return []
    passed = (date.fromisoformat(drift.until) - date.fromisoformat(drift.reference.promoted[:10])).days
    if max(0, passed) >= policy.cooldown_days:
        return []
    text = f"held back: {max(0, passed)} days since the release, {policy.cooldown_days:g} are kept"
    return [finding("cooldown", "cooldown", "watch", "", max(0, passed), policy.cooldown_days, text)]


def _calm(found: Sequence[Finding]) -> str:
    loss = next((one.text for one in found if one.name == "loss"), "")
    return f"nothing asks for a look{f': {loss}' if loss else ''}"


def _evidence(verdict: Verdict, found: Sequence[Finding], drift: Drift, policy: MonitorPolicy) -> str:
    """No number is in it, nor which alarms ask for a retraining: those waver from day to day. So a retraining
    that was declined is asked for again with the next whole month of labels, or for the next release.
    """
    asks = {(one.kind, one.name, one.column or "") for one in found if one.outcome == "watch"}
    facts = {
        "verdict": verdict,
        "release": [drift.reference.model, drift.reference.version],
        "month": backtests.newest_labelled_month(drift, policy.labelled_share),
        "asks": [] if verdict == "retrain" else sorted(asks),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
