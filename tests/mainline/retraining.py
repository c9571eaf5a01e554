"""A watch that asks for a retraining, its evidence, and a policy; each with what a test wants otherwise."""

from __future__ import annotations

from typing import Any

from mainline.drift import Drift, Labels, Malformed, Reference, Window
from mainline.policy import MonitorPolicy, RetrainPolicy, monitor
from mainline.records import Figure
from mainline.retraining.parameters import Data
from mainline.settings import Month, read
from mainline.watching import Finding, Watch
from tests.imports import ROOT

MODEL, RELEASE, UNTIL = "flight-delay", "v1.0.0", "2013-12-10"
EVIDENCE = "e" * 64


def policy(**changes: Any) -> MonitorPolicy:
    """The template's, with other limits of the bot (`where`, `train_months` …) or of the watch."""
    whole = monitor(read(ROOT / "params.yaml"))
    bot = {
        "where": "ci", "train_months": 1, "schedule": [], "open_limit": 1, "daily_limit": 2,
        "gpu_hours": 24.0,
    }  # fmt: skip
    mine = {name: changes.pop(name) for name in list(changes) if name in bot}
    retrain = RetrainPolicy(**(bot | mine))
    return whole.model_copy(update={"cooldown_days": 21, "labelled_share": 0.8, "retrain": retrain} | changes)


def data(as_of: str, train_months: int = 8) -> Data:
    return Data(Month.parse(as_of), train_months)


def watch(verdict: str = "retrain", **changes: Any) -> Watch:
    finding = Finding(
        name="excess loss", kind="performance", outcome="retrain", window="2013-11-13 to 2013-12-10",
        column=None, observed=0.021, limit=0.01, text="the loss is beyond what the answers expect",
    )  # fmt: skip
    given = {
        "verdict": verdict, "reason": "the loss grew in 3 windows", "until": UNTIL, "model": MODEL,
        "release": RELEASE, "findings": [finding], "evidence": EVIDENCE,
    }  # fmt: skip
    return Watch(**(given | changes))


def window(first: str, last: str, *, share: float | None = 0.97, pending: int = 30, late: int = 30) -> Window:
    labels = Labels(joined=900, pending=pending, late=late, excluded={}, share=share)
    return Window(
        name=first[:7], first=first, last=last, rows=1000, blocks=28, versions={RELEASE: 1000}, duplicates=0,
        labels=labels, figures={}, against={"log_loss": Figure(value=0.02, low=0.01, high=0.03)},
        excess=Figure(value=0.021, low=0.012, high=0.03), recoverable=None, estimated=None, columns=[],
        score=None, target=None,
    )  # fmt: skip


def drift(**changes: Any) -> Drift:
    """October and November have all their labels; December is not over."""
    given = {
        "task": "binary",
        "reference": Reference(model=MODEL, version=RELEASE, commit="0" * 40, promoted=None, windows={},
                               rows=1, figures={}),
        "until": UNTIL,
        "malformed": Malformed(lines=0, reasons={}, samples=[]),
        "recent": [window("2013-11-13", "2013-12-10")],
        "newest": None,
        "months": [
            window("2013-10-01", "2013-10-31"), window("2013-11-01", "2013-11-30"),
            window("2013-12-01", "2013-12-10"),
        ],
        "backtest": {"log_loss": Figure(value=-0.01, low=-0.02, high=-0.002)},
    }  # fmt: skip
    return Drift(**(given | changes))
