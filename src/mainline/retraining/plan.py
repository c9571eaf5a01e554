"""Pure: the bot's plan. Whatever the state, following it leads to one pull request at most, and then to rest.

The adapter does the first step, reads everything again and plans again, so each step is taken on a fresh
state, and a run that was stopped anywhere is finished by the next one.
"""

from __future__ import annotations

from collections.abc import Iterable

from mainline.policy import MonitorPolicy
from mainline.retraining import limits, markers, opening, texts, updating, withdrawing
from mainline.retraining.basis import Basis
from mainline.retraining.evidence import Wish
from mainline.retraining.state import (
    LABEL,
    OVERRIDE,
    CloseIssue,
    Dashboard,
    Issue,
    Label,
    Outcome,
    Plan,
    State,
    Step,
)

SHOWN: tuple[Outcome, ...] = ("current", "stopped", "rejected", "waiting", "limited", "abandoned")


def plan(state: State, wish: Wish, policy: MonitorPolicy) -> Plan:
    """What to do now. Raises ConfigError when the wished month lies before main's."""
    basis = Basis(state, wish, policy)
    found = _pull_request(basis)
    labels = _labels(basis) if found.outcome in ("current", "limited") else []
    steps = (*_duplicates(basis), *found.steps, *labels)
    if not steps:
        steps = _dashboards(basis, found)
    return Plan(found.outcome, found.reason, found.data, steps)


def to_read(state: State, wish: Wish) -> list[int]:
    """Those whose comments a plan needs: the open ones, and the last that was rejected for this evidence."""
    found = [pull.number for pull in state.open]
    same = opening.rejected(state, wish)
    return [*found, *(pull.number for pull in same[-1:])]


def dashboards(issues: Iterable[Issue]) -> tuple[Issue, ...]:
    """Of the account's issues with the label: those with the marker; where none has it, the oldest.

    So one is found wherever there is an issue that keeps the forge from making another.
    """
    found = sorted(issues, key=lambda issue: (not issue.open, issue.number))
    return tuple(issue for issue in found if markers.ISSUE in issue.body) or tuple(found[:1])


def _pull_request(basis: Basis) -> Plan:
    watch, target = basis.wish.watch, basis.target()
    if watch.verdict != "retrain" and not basis.asked:
        return withdrawing.unwanted(basis)
    if target is None:
        reason = "no month is over whose labels are complete; --as-of names one"
        return Plan("kept" if basis.pull else "nothing", reason)
    before = basis.state.base_data
    if target <= before.as_of:
        reason = f"{basis.state.base} has data to {before.as_of} already"
        return withdrawing.withdraw(basis, basis.pull, reason) if basis.pull else Plan("nothing", reason)
    wanted = before.moved(target, basis.policy.retrain.train_months)
    if basis.pull:
        return updating.update(basis, basis.pull, wanted)
    return opening.first(basis, wanted)


def _duplicates(basis: Basis) -> tuple[Step, ...]:
    steps: tuple[Step, ...] = ()
    for pull in basis.state.open[1:]:
        steps += basis.taken_back(pull, "duplicate", f"#{basis.state.open[0].number} is the same")
    return steps


def _labels(basis: Basis) -> list[Step]:
    if basis.pull is None:
        return []
    found: list[Step] = []
    if LABEL not in basis.pull.labels:
        found.append(Label(basis.pull.number, LABEL, on=True))
    branch = basis.state.branch
    if OVERRIDE in basis.pull.labels and not (branch and branch.others):
        found.append(Label(basis.pull.number, OVERRIDE, on=False))
    return found


def _dashboards(basis: Basis, found: Plan) -> tuple[Step, ...]:
    """The one issue, the oldest of ours; a closed one stays closed, and is kept up to date."""
    issues = sorted(basis.state.dashboards, key=lambda issue: (not issue.open, issue.number))
    doubles = tuple(CloseIssue(issue.number) for issue in issues[1:] if issue.open)
    if not issues and found.outcome not in SHOWN:
        return ()
    keep = basis.ticked and found.outcome == "limited"
    body = texts.dashboard(
        basis.state, basis.wish, found, basis.pull, limits.rejections(basis.state), asked=keep
    )
    if issues and issues[0].body.replace("\r\n", "\n").strip() == body:
        return doubles
    return (Dashboard(issues[0].number if issues else None, body), *doubles)
