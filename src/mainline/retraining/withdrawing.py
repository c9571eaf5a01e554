"""Pure: the plan while nobody asks for a retraining, or main has its month already."""

from __future__ import annotations

from mainline.retraining import limits, texts
from mainline.retraining.basis import Basis, changed, once
from mainline.retraining.state import Drop, Plan, Pull, Step


def unwanted(basis: Basis) -> Plan:
    """Only a quiet watch takes back what the watch asked for."""
    verdict = basis.wish.watch.verdict
    reason = f"the watch says {verdict}"
    if basis.pull is None:
        return Plan("nothing", reason, steps=_leftover(basis))
    if basis.marker is not None and basis.marker.asked:
        branch = basis.state.branch
        return Plan("kept", f"{reason}, but a person asked for it", branch.data if branch else None)
    if verdict != "quiet":
        return Plan("kept", f"{reason}, which takes nothing back")
    return withdraw(basis, basis.pull, "what the watch saw is gone")


def _leftover(basis: Basis) -> tuple[Step, ...]:
    """The branch of a pull request that the bot closed, where a run was stopped in between."""
    branch, last = basis.state.branch, next(reversed(basis.state.mine), None)
    marker = limits.marker_of(last) if last else None
    if branch is None or branch.others or marker is None or not marker.withdrawn:
        return ()
    return (Drop(branch.tip),)


def withdraw(basis: Basis, pull: Pull, why: str) -> Plan:
    """Closed, and its branch deleted; left to people where one of them committed to it."""
    branch = basis.state.branch
    if branch is not None and branch.others:
        title = pull.title if pull.title.endswith(texts.ABANDONED) else f"{pull.title}{texts.ABANDONED}"
        steps = changed(pull, title, pull.body) + once(pull, "abandoned", why)
        return Plan("abandoned", f"{why}; it has commits of others", steps=steps)
    drop = (Drop(branch.tip),) if branch else ()
    return Plan("withdrawn", why, steps=(*basis.taken_back(pull, "withdrawn", why), *drop))
