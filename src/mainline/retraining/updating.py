"""Pure: the plan while the pull request is open and wanted."""

from __future__ import annotations

from mainline.retraining import limits, markers, texts
from mainline.retraining.basis import Basis, changed, once
from mainline.retraining.state import OVERRIDE, Plan, Pull, Step


def update(basis: Basis, pull: Pull, target: str) -> Plan:
    """Brought to `target` on top of main, unless commits of others or a limit hold it back."""
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


def _described(basis: Basis, pull: Pull, target: str) -> tuple[Step, ...]:
    branch = basis.state.branch
    now = branch.as_of if branch is not None and branch.as_of and not branch.others else target
    marker = basis.new_marker(pull, now)
    title = texts.title(basis.state.model, now)
    # A tick stays until it was obeyed.
    ticked = bool(branch and branch.others) and markers.is_ticked(pull.body, "override")
    body = texts.body(basis.state, basis.wish, basis.policy, marker, override=ticked)
    return changed(pull, title, body)


def _why_moved(basis: Basis, target: str) -> str:
    branch = basis.state.branch
    if branch is None:
        return "its branch is gone"
    if branch.others:
        return "the commits of others are overwritten, as asked"
    if branch.as_of != target:
        return f"data to {target} instead of {branch.as_of}"
    return f"{basis.state.base} moved on" if branch.base != basis.state.base_tip else "it is not trained yet"
