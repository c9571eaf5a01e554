"""Pure: the plan while the pull request is open and wanted."""

from __future__ import annotations

from mainline.retraining import limits, markers, texts
from mainline.retraining.basis import Basis, changed, once
from mainline.retraining.parameters import Data
from mainline.retraining.state import OVERRIDE, Plan, Pull, Step


def update(basis: Basis, pull: Pull, target: Data) -> Plan:
    """Brought to that data on top of main, unless commits of others or a limit hold it back."""
    branch = basis.state.branch
    override = OVERRIDE in pull.labels or markers.is_ticked(pull.body, "override")
    if branch is not None and branch.others and not override:
        why = texts.commits(branch.others)
        return Plan("stopped", why.replace("`", ""), target, once(pull, "stopped", why))
    if held := limits.uncountable(basis.state):
        return Plan("limited", held, target)
    edit = _described(basis, pull, target)
    if basis.is_done(target):
        return Plan("current", "it is brought up to date" if edit else "it is up to date", target, edit)
    if held := limits.too_many(basis.state, basis.policy):
        return Plan("limited", held, target, edit)
    unrecorded = branch is not None and branch.made not in (None, *basis.recorded(pull))
    before = edit if unrecorded else ()
    if branch is not None and branch.others:
        before += once(pull, "overwritten", texts.commits(branch.others))
    return Plan("updated", _why_moved(basis, target), target, (*before, basis.push(target)))


def _described(basis: Basis, pull: Pull, target: Data) -> tuple[Step, ...]:
    branch = basis.state.branch
    now = branch.data if branch is not None and branch.data and not branch.others else target
    marker = basis.new_marker(pull, now.as_of)
    title = texts.title(basis.state.model, now.as_of)
    # A tick stays until it was obeyed.
    ticked = bool(branch and branch.others) and markers.is_ticked(pull.body, "override")
    body = texts.body(basis.state, basis.wish, basis.policy, marker, now, override=ticked)
    return changed(pull, title, body)


def _why_moved(basis: Basis, target: Data) -> str:
    branch = basis.state.branch
    if branch is None:
        return "its branch is gone"
    if branch.others:
        return "the commits of others are overwritten, as asked"
    if branch.data is None or branch.data.as_of != target.as_of:
        return f"data to {target.as_of} instead of {branch.data.as_of if branch.data else None}"
    if branch.base != basis.state.base_tip:
        return f"{basis.state.base} moved on"
    if branch.data != target:
        return f"data.train_months {target.train_months} instead of {branch.data.train_months}"
    return "it is not trained yet"
