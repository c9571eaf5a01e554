"""Pure: what production asks for: quiet, a closer look, or a retraining; with every number that decided."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mainline.records import Part, Record

Verdict = Literal["quiet", "insufficient", "watch", "retrain"]


class Finding(Part):
    """One rule: what it saw in which window (or column), its limit, and a sentence for people.

    `kind`: what the bot and the page tell apart; `fault` is broken input, which no retraining mends.
    """

    name: str
    kind: Literal["performance", "calibration", "drift", "fault", "labels", "volume", "cooldown", "backtest"]
    outcome: Verdict
    window: str
    column: str | None
    observed: float | None
    limit: float | None
    text: str


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
