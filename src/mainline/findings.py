"""One rule's finding, and how figures are turned and told in it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mainline.drift import Window
from mainline.policy import HIGHER_IS_BETTER
from mainline.records import Figure, Part

Verdict = Literal["quiet", "insufficient", "watch", "retrain"]
Kind = Literal["performance", "calibration", "drift", "fault", "labels", "volume", "cooldown", "backtest"]

SEVERITY: dict[Verdict, int] = {"quiet": 0, "insufficient": 1, "watch": 2, "retrain": 3}


class Finding(Part):
    """One rule: what it saw in which window (or column), its limit, and a sentence for people.

    `kind`: what the bot and the page tell apart; `fault` is broken input, which no retraining mends.
    """

    name: str
    kind: Kind
    outcome: Verdict
    window: str
    column: str | None
    observed: float | None
    limit: float | None
    text: str


def finding(
    name: str,
    kind: Kind,
    outcome: Verdict,
    window: str,
    observed: float | None,
    limit: float | None,
    text: str,
    column: str | None = None,
) -> Finding:
    """One that was judged."""
    return Finding(
        name=name, kind=kind, outcome=outcome, window=window, column=column, observed=observed,
        limit=limit, text=text,
    )  # fmt: skip


def over(
    name: str, kind: Kind, window: str, column: str | None, observed: float, limit: float, text: str
) -> Finding:
    """One that asks for a look when what was observed is above the limit."""
    outcome: Verdict = "watch" if observed > limit else "quiet"
    return finding(name, kind, outcome, window, observed, limit, text, column)


def turn(name: str, value: float) -> float:
    """So that more is worse."""
    return -value if name in HIGHER_IS_BETTER else value


def worsening(name: str, figure: Figure | None) -> tuple[float, float] | None:
    """Least and most by which it is worse; None without an interval."""
    if figure is None or figure.value is None or figure.low is None or figure.high is None:
        return None
    one, other = turn(name, figure.low), turn(name, figure.high)
    return min(one, other), max(one, other)


def ends(figure: Figure | None) -> tuple[float | None, float | None, float | None]:
    return (figure.low, figure.value, figure.high) if figure else (None, None, None)


def same_side(value: float | None, newest: Figure | None) -> bool:
    return value is not None and newest is not None and (newest.value or 0) * value > 0


def period(windows: Sequence[Window]) -> str:
    return f"{windows[0].first} to {windows[-1].last}" if windows else ""


def interval(figure: Figure | None) -> str:
    low, value, high = ends(figure)
    if value is None:
        return "undefined"
    return (
        signed(value) if low is None or high is None else f"{signed(value)} [{signed(low)}, {signed(high)}]"
    )


def signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")


def number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def percent(value: float) -> str:
    return f"{value:.0%}" if value >= 0.1 or value == 0 else f"{value:.1%}"


def plain(text: str) -> str:
    """Names of columns and reasons inside a sentence: one line, bounded."""
    kept = "".join(character if character.isprintable() else "?" for character in text)
    return kept if len(kept) <= 60 else f"{kept[:59]}…"
