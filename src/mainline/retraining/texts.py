"""Pure: what people read of the bot. Every word that came from data, reports or branches is made inert."""

from __future__ import annotations

from mainline.drift import Window
from mainline.policy import MonitorPolicy
from mainline.records import Figure
from mainline.report.escape import code, prose
from mainline.retraining import markers
from mainline.retraining.evidence import Wish, month_of, newest_month
from mainline.retraining.markers import Marker
from mainline.retraining.parameters import Data
from mainline.retraining.state import OVERRIDE, NoteKind, Plan, Pull, State
from mainline.settings import Month

FINDINGS = 25  # rows shown
WINDOWS = 12
ABANDONED = " (abandoned)"


def title(model: str, as_of: Month) -> str:
    """Of the pull request, and the commit's first line."""
    return f"Retrain {model} on data to {as_of}"


def body(
    state: State, wish: Wish, policy: MonitorPolicy, marker: Marker, data: Data, *, override: bool = False
) -> str:
    """The description of the pull request, whose branch has this data; the same evidence, the same bytes."""
    watch = wish.watch
    asked = "A person asked for it. " if marker.asked else ""
    parts = [
        f"{asked}The watch of {code(watch.model)} ({code(watch.release)} in production) says "
        f"**{watch.verdict}** on the days to {code(watch.until)}: {prose(watch.reason)}",
        f"This moves `data.as_of` from {code(str(state.base_data.as_of))} to {code(str(data.as_of))}"
        f"{_why(wish, policy, data.as_of)}{_grown(state.base_data, data, policy)}.",
        "### Evidence",
        _findings(wish),
        _windows(wish.drift.recent),
        "### Expected gain",
        _gain(wish),
        "### What now",
        _next(policy),
        f"{markers.box('override', ticked=override)} overwrite the commits of others on this branch at the "
        f"next run, once (the label {code(OVERRIDE)} does the same)",
        markers.write(marker),
    ]
    return "\n\n".join(part for part in parts if part)


def _why(wish: Wish, policy: MonitorPolicy, as_of: Month) -> str:
    window = newest_month(wish.drift, policy)
    if window is None or month_of(window) != as_of:
        return ""
    share = f"{window.labels.share:.1%} of {window.rows:,} rows" if window.labels.share is not None else ""
    return f", the newest month whose labels are complete ({share})"


def _grown(before: Data, after: Data, policy: MonitorPolicy) -> str:
    if before.train_months == after.train_months:
        return ""
    most = policy.retrain.train_months
    grows = before.train_months < after.train_months <= most
    why = f": the training window grows with the data, up to {most} months" if grows else ""
    return f"; and `data.train_months` from {before.train_months} to {after.train_months}{why}"


def _findings(wish: Wish) -> str:
    rows = [
        f"| {prose(one.name, 80)} | {one.kind} | {one.outcome} | {prose(one.window, 80)} "
        f"| {code(one.column) if one.column is not None else ''} | {_number(one.observed)} "
        f"| {_number(one.limit)} | {prose(one.text)} |"
        for one in wish.watch.findings[:FINDINGS]
    ]
    if not rows:
        return "The watch reports no finding."
    head = (
        "| rule | kind | says | window | column | observed | limit | |\n|---|---|---|---|---|---:|---:|---|"
    )
    more = len(wish.watch.findings) - FINDINGS
    return "\n".join([head, *rows]) + (f"\n\n… and {more} more." if more > 0 else "")


def _windows(windows: list[Window]) -> str:
    if not windows:
        return ""
    names = list(dict.fromkeys(name for window in windows for name in window.against))[:3]
    expected = any(window.excess for window in windows)  # a value, unlike a probability, expects no loss
    titles = ["days", "rows", "labelled", *(["loss beyond its own expectation"] if expected else [])]
    titles += [f"{prose(name, 40)} against the recorded" for name in names]
    lines = [f"| {' | '.join(titles)} |", "|---|" + "---:|" * (len(titles) - 1)]
    for window in windows[-WINDOWS:]:
        share = "none yet" if window.labels.share is None else f"{window.labels.share:.0%}"
        cells = [f"{prose(window.first, 20)} to {prose(window.last, 20)}", f"{window.rows:,}", share]
        cells += [_interval(window.excess)] if expected else []
        cells += [_interval(window.against.get(name)) for name in names]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _gain(wish: Wish) -> str:
    found = wish.drift.backtest
    if not found:
        return "No backtest was run: the gate of this pull request will tell."
    lines = ["| figure | retrained minus the one in production, on the same rows |", "|---|---:|"]
    lines += [f"| {prose(name, 60)} | {_interval(figure)} |" for name, figure in list(found.items())[:20]]
    return "\n".join(lines) + "\n\nBy a backtest; the gate of this pull request decides."


def _next(policy: MonitorPolicy) -> str:
    how = "CI trains" if policy.retrain.where == "ci" else "The bot has trained"
    return "\n".join(
        (
            f"- {how}, and the gate compares with the model in production. A merge promotes it to staging.",
            "- Closing this pull request rejects this evidence: the bot asks again when there is other.",
            "- A commit of somebody else on this branch stops the bot.",
        )
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _interval(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return "unknown"
    if figure.low is None or figure.high is None:
        return f"{figure.value:+.4g}"
    return f"{figure.value:+.4g} [{figure.low:+.4g}, {figure.high:+.4g}]"


def note(kind: NoteKind, why: str = "") -> str:
    """A comment of the bot."""
    said = {
        "rejected": "This was closed, which the bot takes as a rejection of this evidence: it opens no other "
        "pull request for it. To ask for one anyway, tick the box of the dashboard, or run "
        "`mainline retrain --force`.",
        "stopped": f"The bot leaves this branch alone from now on: {why}. To let it go on and overwrite "
        f"them, tick the box in the description or add the label `{OVERRIDE}`.",
        "withdrawn": f"Closed by the bot: {why}.",
        "abandoned": f"The bot would close this: {why}. It has commits of others, so that is left to you.",
        "duplicate": f"Closed by the bot: {why}.",
        "overwritten": f"As asked, the bot overwrote the commits of others: {why}.",
    }[kind]
    return f"{said}\n\n{markers.note(kind)}"


def commits(names: tuple[str, ...]) -> str:
    """Short names of commits, for a note."""
    shown = ", ".join(f"`{name}`" for name in names[:5])
    return f"others committed to it ({shown}{', …' if len(names) > 5 else ''})"


WORDS = {
    "nothing": "nothing is asked for",
    "current": "its pull request is open",
    "opened": "its pull request is open",
    "updated": "its pull request is open",
    "kept": "its pull request stays open",
    "withdrawn": "taken back",
    "abandoned": "left to you",
    "stopped": "stopped",
    "rejected": "rejected",
    "waiting": "pending",
    "limited": "limited",
}


def dashboard(
    state: State, wish: Wish, plan: Plan, pull: Pull | None, rejected: list[Pull], *, asked: bool
) -> str:
    """The body of the one issue; it holds no clock, so that it changes only when the state does."""
    where = f" (#{pull.number})" if pull else ""
    month = f", data to {code(str(plan.data.as_of))}" if plan.data else ""
    lines = [
        f"Retraining of {code(state.model)} by `mainline retrain`.",
        f"**{WORDS[plan.outcome].capitalize()}**{where}{month}: {prose(plan.reason)}.",
        f"The watch says **{wish.watch.verdict}**: {prose(wish.watch.reason)}",
        f"{markers.box('ask', ticked=asked)} ask for a retraining at the next run, whatever the watch, the "
        "cooldown, the weekday or a rejection say; the limits hold",
    ]
    if rejected:
        entries = [f"- #{one.number}: {_rejected(one)}" for one in reversed(rejected[-10:])]
        lines += ["### Rejected", "\n".join(entries)]
    return "\n\n".join([*lines, markers.ISSUE])


def _rejected(pull: Pull) -> str:
    return prose(pull.title, 120)
