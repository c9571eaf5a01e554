"""Pure: the plan where a pull request is wanted and none is open."""

from __future__ import annotations

from mainline.retraining import limits, texts
from mainline.retraining.basis import Basis, once
from mainline.retraining.evidence import Wish
from mainline.retraining.parameters import Data
from mainline.retraining.state import Open, Plan, Pull, State


def first(basis: Basis, target: Data) -> Plan:
    """Opened with that data, unless a rejection, the time, a person or a limit holds it back."""
    state, branch = basis.state, basis.state.branch
    if not basis.asked:
        if same := rejected(state, basis.wish):
            reason = f"#{same[-1].number} was closed: this evidence was rejected"
            return Plan("rejected", reason, target, once(same[-1], "rejected"))
        if held := limits.not_now(state, basis.policy):
            return Plan("waiting", held, target)
    if branch is not None and branch.others and not _merged_before(basis):
        reason = f"{texts.commits(branch.others).replace('`', '')}; delete {state.name} if it may go"
        return Plan("stopped", reason, target)
    if held := limits.too_many_open(state, basis.policy) or limits.uncountable(state):
        return Plan("limited", held, target)
    if basis.is_done(target):
        return _opened(basis, target)
    if unrecorded := _unrecorded(basis):
        return _opened(basis, unrecorded)
    if held := limits.too_many(state, basis.policy):
        return Plan("limited", held, target)
    opened = _opened(basis, target)
    return Plan("opened", opened.reason, target, (basis.push(target), *opened.steps))


def _opened(basis: Basis, data: Data) -> Plan:
    marker = basis.new_marker(None, data.as_of)
    body = texts.body(basis.state, basis.wish, basis.policy, marker, data)
    reason = "the watch asks for it" if not basis.asked else "a person asked for it"
    return Plan("opened", reason, data, (Open(texts.title(basis.state.model, data.as_of), body),))


def _unrecorded(basis: Basis) -> Data | None:
    """Of a run that was stopped between its push and its pull request: that training is recorded first."""
    branch = basis.state.branch
    if branch is None or branch.made is None or branch.others or branch.data is None:
        return None
    known = {name for pull in basis.state.mine for name in basis.recorded(pull)}
    newer = branch.data.as_of > basis.state.base_data.as_of
    return branch.data if newer and branch.made not in known else None


def _merged_before(basis: Basis) -> bool:
    """All that others committed went into the merged pull request."""
    branch, last = basis.state.branch, next(reversed(basis.state.mine), None)
    if branch is None or last is None or last.state != "merged" or last.closed is None:
        return False
    return branch.newest is not None and branch.newest <= last.closed


def rejected(state: State, wish: Wish) -> list[Pull]:
    """Those that people closed with this evidence in them, the oldest first."""
    return [
        pull for pull in limits.rejections(state)
        if (marker := limits.marker_of(pull)) and marker.fingerprint == wish.watch.evidence
    ]  # fmt: skip
