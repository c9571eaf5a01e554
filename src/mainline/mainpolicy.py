"""The adapter that reads the gate of the main branch, by which a pull request is judged beside its own.

Main's gate is both: the section `gate`, and the section `evaluate` by which candidates are measured (costs,
calibration bins). What cannot be read is not "the same": it holds.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mainline import champion, mainbranch, policy
from mainline.errors import ConfigError
from mainline.git import Git
from mainline.mainbranch import Base
from mainline.policy import GatePolicy
from mainline.review import Change

LONGEST = 300  # characters of a reason


@dataclass(frozen=True, slots=True)
class Mains:
    """Main's gate, where it is not the work tree's. `policy` is None where it cannot be read: `why`.

    `evaluate`: main's section, as it stands there; None where it is the work tree's.
    """

    policy: GatePolicy | None
    evaluate: Any = None
    why: str = ""


def model(git: Git, base: Base | None, own: dict[str, Any]) -> str:
    """The model's name on main: a branch that renames it does not lose the champion by that."""
    name = policy.release(own).model
    with suppress(ConfigError):
        if base:
            return policy.release(champion.parameters(git, base.tip)).model
    return name


def mains(git: Git, base: Base | None, own: dict[str, Any], mine: GatePolicy) -> Mains | None:
    """The gate at the tip of main, not where an old branch left it: it may not keep what main has tightened.

    None where main measures and judges as the work tree does, or where there is neither main nor an origin.
    """
    if base is None:
        why = "origin has no main branch, so no gate can be held against this one"
        return Mains(None, why=why) if mainbranch.has_origin(git) else None
    try:
        content = champion.parameters(git, base.tip)
        theirs = policy.gate(content)
    except ConfigError as error:
        why = " ".join(f"the gate of {base.name} cannot be read: {error.what}".split())
        return Mains(None, why=why[:LONGEST])
    evaluate = None if content.get("evaluate") == own.get("evaluate") else content.get("evaluate", {})
    return None if same(theirs, mine) and evaluate is None else Mains(theirs, evaluate)


def changes(git: Git, base: Base | None, own: dict[str, Any]) -> tuple[list[Change], list[str]]:
    """What the branch changed of how it is judged since it left main; warnings where that is not known."""
    if base is None:
        return [], ["there is no main branch: changes of the gate cannot be seen"]
    try:
        return policy.changes(champion.parameters(git, base.fork), own), []
    except ConfigError as error:
        return [], [f"changes of the gate cannot be seen: {error.what}"]


def same(one: GatePolicy, other: GatePolicy) -> bool:
    """The order of the margins counts: the first decides."""
    return one == other and one.deciding == other.deciding
