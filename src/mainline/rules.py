"""Pure: the gate's rules, one function each. `gates` says why they are as they are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from mainline.policy import HIGHER_IS_BETTER, GatePolicy
from mainline.records import Figure, Metrics
from mainline.review import Comparison, Rule, SliceChange

Outcome = Literal["promote", "hold", "block"]
MINIMUM_BLOCKS = 10  # intervals of fewer are too narrow to decide by: `gates` has the rates
AGREEMENT = 1e-3  # of a recorded figure with the one that is computed again
SPELLED = {"roc_auc": "ROC-AUC", "pr_auc": "PR-AUC", "macro_auc": "macro AUC", "ece": "calibration error"}


def margin(name: str, difference: Figure | None, allowed: float, against: str, blocks: int) -> Rule:
    """`difference`: candidate minus champion; `allowed`: how much worse is as good as equal."""
    turned = _worsening(name, difference) if blocks >= MINIMUM_BLOCKS else None
    limit = _signed_limit(name, allowed)
    observed = finite(difference.value) if difference else None
    if difference is None or observed is None:
        return _rule(
            f"margin {name}", "block", None, limit, f"{_label(name)} {against}: missing or undefined"
        )
    told = f"{_label(name)} {_told(difference)} {against}, margin {_signed(limit)}"
    if turned is None:
        text = f"insufficient data for an interval ({blocks} blocks): {told}"
        return _rule(f"margin {name}", "hold", observed, limit, text)
    least, worst = turned
    if worst <= allowed:
        return _rule(f"margin {name}", "promote", observed, limit, told)
    if least > 0:
        return _rule(f"margin {name}", "block", observed, limit, f"certainly worse: {told}")
    return _rule(f"margin {name}", "hold", observed, limit, f"cannot tell: {told}")


def slices(parts: Sequence[SliceChange], policy: GatePolicy) -> Rule:
    """A slice that lost its figure, else the one with the worst favourable end of its interval."""
    name, allowed = policy.deciding, policy.slice_margin
    limit = _signed_limit(name, allowed)
    large = [one for one in parts if one.rows >= policy.slice_rows]
    if lost := [(one.column, one.value) for one in large if _lost(one)]:
        column, value = min(lost)
        text = f"{_label(name)} is undefined where {_plain(column)} is {_plain(value)}; the champion's is not"
        return _rule("slices", "block", None, limit, text)
    judged = [
        (turned[0], one.column, one.value, one)
        for one in large
        if (turned := _worsening(name, one.difference))
    ]
    if not judged:
        return _rule(
            "slices", "promote", None, limit, f"no slice has {policy.slice_rows:,} rows and an interval"
        )
    least, column, value, worst = max(judged, key=lambda item: item[:3])
    told = (
        f"{_label(name)} {_told(worst.difference)} where {_plain(column)} is {_plain(value)} "
        f"({worst.rows:,} rows), the worst of {len(judged)} slices, margin {_signed(limit)}"
    )
    outcome: Outcome = "block" if least > allowed else "promote"
    return _rule("slices", outcome, finite(worst.difference.value), limit, told)


def bound(name: str, figure: Figure | None, limit: float, *, floor: bool) -> Rule:
    kind = "floor" if floor else "ceiling"
    value = finite(figure.value) if figure else None
    if value is None:
        return _rule(f"{kind} {name}", "block", None, limit, f"{_label(name)} is missing or undefined")
    beyond = value < limit if floor else value > limit
    text = f"{_label(name)} {_number(value)}, {kind} {_number(limit)}"
    return _rule(f"{kind} {name}", "block" if beyond else "promote", value, limit, text)


def baseline(metrics: Metrics, policy: GatePolicy) -> Rule:
    """The deciding figure against the best baseline's, both recorded by `evaluate` on the same resamples."""
    name = policy.deciding
    values = {
        baseline: value
        for baseline, figures in metrics.baselines.items()
        if (value := finite(figures[name].value) if name in figures else None) is not None
    }
    if not values:
        return _rule("baseline", "block", None, 0.0, f"no baseline has a {_label(name)}")
    sign = -1 if name in HIGHER_IS_BETTER else 1
    best = min(values, key=lambda baseline: (sign * values[baseline], baseline))
    difference = metrics.differences.get(best, {}).get(name)
    turned, value = _worsening(name, difference), finite(difference.value) if difference else None
    if difference is None or value is None:
        return _rule("baseline", "block", None, 0.0, f"{_label(name)} against {_plain(best)} is missing")
    told = f"{_label(name)} {_told(difference)} against the baseline {_plain(best)}"
    few = metrics.blocks < MINIMUM_BLOCKS
    if turned is None or few or metrics.confidence < policy.confidence:
        text = f"no interval of {MINIMUM_BLOCKS} blocks at {policy.confidence:.0%}: {told}"
        return _rule("baseline", "hold", value, 0.0, text)
    least, worst = turned
    if worst < 0:
        return _rule("baseline", "promote", value, 0.0, told)
    if least > 0:
        return _rule("baseline", "block", value, 0.0, f"certainly worse: {told}")
    return _rule("baseline", "hold", value, 0.0, f"not certainly better: {told}")


def recorded(
    name: str, ours: Figure | None, theirs: Figure | None, allowed: float, because: str, why: str, blocks: int
) -> Rule:
    """At best what an unpaired comparison of the same window can say; `why` it cannot, unless empty."""
    limit = _signed_limit(name, allowed)
    if ours is None or finite(ours.value) is None:
        return _rule(f"margin {name}", "block", None, limit, f"{_label(name)} is missing or undefined")
    if why or theirs is None or finite(theirs.value) is None:
        text = f"{_label(name)} cannot be compared: {because}, {why or 'and they lack it'}"
        return _rule(f"margin {name}", "hold", ours.value, limit, text)
    return margin(name, unpaired(ours, theirs), allowed, f"on {because}", blocks)


def unpaired(first: Figure, second: Figure) -> Figure:
    """First minus second as if independent: each side's half intervals add in squares."""
    ends = [finite(x) for x in (first.value, first.low, first.high, second.value, second.low, second.high)]
    a, a_low, a_high, b, b_low, b_high = ends
    if a is None or b is None:
        return Figure(value=None, low=None, high=None)
    if a_low is None or a_high is None or b_low is None or b_high is None:
        return Figure(value=a - b, low=None, high=None)
    down, up = math.hypot(a - a_low, b_high - b), math.hypot(a_high - a, b - b_low)
    return Figure(value=a - b, low=a - b - down, high=a - b + up)


def leak(suspects: Mapping[str, float]) -> Rule:
    if not suspects:
        return _rule("leak", "promote", None, None, "no feature alone ranks the target almost perfectly")
    worst = max(suspects, key=lambda name: (suspects[name], name))
    text = (
        f"{_plain(worst)} alone ranks the target with ROC-AUC {suspects[worst]:.3f}: it most likely holds it"
    )
    return _rule("leak", "block", finite(suspects[worst]), None, text)


def windows(problem: str) -> Rule:
    """`problem`: as `manifests.windows` has it."""
    text = f"{problem}: its figures prove nothing" if problem else "no test month was fitted on"
    return _rule("windows", "block" if problem else "promote", None, None, text)


def rows(comparison: Comparison, metrics: Metrics) -> Rule:
    """The rows that were scored here must be those that `evaluate` saw."""
    scored, evaluated = (comparison.rows, comparison.blocks), (metrics.rows, metrics.blocks)
    text = f"{scored[0]:,} test rows in {scored[1]:,} blocks"
    if scored == evaluated:
        return _rule("rows", "promote", None, None, f"{text}, as the candidate recorded")
    text = f"{text}, but the candidate recorded {evaluated[0]:,} in {evaluated[1]:,}: these are other rows"
    return _rule("rows", "block", None, None, text)


def faithful(comparison: Comparison, metrics: Metrics, needed: Sequence[str]) -> Rule:
    """What was scored here must be what `evaluate` recorded: reports and releases tell the record.

    `needed`: figures that must be in both. Another processor moves the last digits, and no more.
    """
    for name in sorted({*needed, *metrics.figures} & comparison.candidate.keys()):
        scored, told = finite(comparison.candidate[name].value), metrics.figures.get(name)
        noted = finite(told.value) if told else None
        if scored is None:  # the rules that need it block
            continue
        if noted is None or not math.isclose(scored, noted, rel_tol=AGREEMENT, abs_tol=AGREEMENT):
            noted_as = "no value" if noted is None else _number(noted)
            text = f"the candidate recorded {noted_as} as its {_label(name)}, but it is {_number(scored)}"
            return _rule("record", "block", noted, scored, text)
    return _rule("record", "promote", None, None, "the recorded figures are those that were scored here")


def size(size: int | None, limit: int) -> Rule:
    if size is None:
        return _rule("size", "block", None, float(limit), "the size of the model is not known")
    text = f"the model has {size:,} bytes, ceiling {limit:,}"
    return _rule("size", "block" if size > limit else "promote", float(size), float(limit), text)


def latency(comparison: Comparison | None, limit: float) -> Rule:
    timed = comparison.latency if comparison else {}
    ours, theirs = timed.get("candidate"), timed.get("champion")
    median = finite(ours.median_ms) if ours else None
    if ours is None or median is None:
        return _rule("latency", "block", None, limit, "the latency of one row was not measured")
    text = f"one row takes {median:.3f} ms (median; p95 {ours.p95_ms:.3f}), ceiling {limit:g} ms"
    if median <= limit:
        return _rule("latency", "promote", median, limit, text)
    if theirs is not None and theirs.median_ms > limit:
        text = f"too slow a machine to tell (the champion takes {theirs.median_ms:.3f} ms): {text}"
        return _rule("latency", "hold", median, limit, text)
    return _rule("latency", "block", median, limit, text)


def _lost(one: SliceChange) -> bool:
    """The champion has a figure there, the candidate has none."""
    return one.champion is not None and (one.candidate is None or not math.isfinite(one.candidate))


def _worsening(name: str, difference: Figure | None) -> tuple[float, float] | None:
    """The interval turned so that positive is worse: (least, most); None without an interval."""
    if difference is None or finite(difference.value) is None:
        return None
    low, high = finite(difference.low), finite(difference.high)
    if low is None or high is None:
        return None
    return (-high, -low) if name in HIGHER_IS_BETTER else (low, high)


def _signed_limit(name: str, allowed: float) -> float:
    return -allowed if name in HIGHER_IS_BETTER else allowed


def _rule(name: str, outcome: Outcome, observed: float | None, limit: float | None, text: str) -> Rule:
    return Rule(name=name, outcome=outcome, observed=observed, limit=limit, text=text)


def finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _label(name: str) -> str:
    return SPELLED.get(name, name.replace("_", " "))


def _plain(text: str) -> str:
    """Data and names inside a sentence: one line, bounded. Whoever prints Markdown escapes the sentence."""
    kept = "".join(character if character.isprintable() else "?" for character in text)
    return kept if len(kept) <= 60 else f"{kept[:59]}…"


def _told(figure: Figure) -> str:
    value, low, high = (None if x is None else _signed(x) for x in (figure.value, figure.low, figure.high))
    return f"{value}" if low is None or high is None else f"{value} [{low}, {high}]"


def _number(value: float) -> str:
    return (f"{value:.4f}" if abs(value) < 10 else f"{value:.5g}").replace("-", "−")


def _signed(value: float) -> str:
    return (f"{value:+.4f}" if abs(value) < 10 else f"{value:+.5g}").replace("-", "−")
