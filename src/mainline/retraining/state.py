"""Pure: the world as the bot reads it, and the steps by which it changes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from mainline.retraining.parameters import Data

PREFIX = "mainline/retrain-"  # of the branches of the bot
LABEL = "retraining"
OVERRIDE = "mainline-override"  # on a pull request: overwrite the commits of others, once
DASHBOARD = "mainline-dashboard"  # the label by which the one issue is found

NoteKind = Literal["rejected", "stopped", "withdrawn", "abandoned", "duplicate", "overwritten"]


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull request from a branch of the bot, in this repository. Title, body and labels are foreign text.

    `notes`: the kinds of the bot's comments on it, as far as they were read.
    """

    number: int
    branch: str
    base: str
    title: str
    body: str
    state: Literal["open", "closed", "merged"]
    labels: frozenset[str]
    created: datetime
    closed: datetime | None
    url: str = ""
    notes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Branch:
    """The bot's branch on origin.

    `base`: the commit that the bot's own commit stands on, `made` its short name, `at` its time (ISO, UTC);
    all None where the bot's commit is not on it. `others`: short names of commits by anybody else.
    `data`: in the tip's params.yaml; None where that cannot be read. `trained`: a commit with the lock is on
    it. `hours`: of its training.
    """

    tip: str
    base: str | None
    made: str | None
    at: str | None
    data: Data | None
    others: tuple[str, ...] = ()
    trained: bool = False
    hours: float | None = None
    newest: datetime | None = None


@dataclass(frozen=True, slots=True)
class Issue:
    """A dashboard."""

    number: int
    body: str
    open: bool
    url: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """Everything that a plan rests on. `now` is UTC. `expected_hours`: of one more training."""

    now: datetime
    model: str
    base: str
    base_tip: str
    base_data: Data
    branch: Branch | None
    pulls: tuple[Pull, ...]
    dashboards: tuple[Issue, ...]
    expected_hours: float

    @property
    def name(self) -> str:
        """The branch: the same for the same model, so that there can be one pull request only."""
        return f"{PREFIX}{self.model}"

    @property
    def mine(self) -> list[Pull]:
        """Those of the branch, the oldest first; open ones to another base are somebody else's."""
        ours = (p for p in self.pulls if p.branch == self.name and (p.state != "open" or p.base == self.base))
        return sorted(ours, key=lambda pull: pull.number)

    @property
    def open(self) -> list[Pull]:
        """Of these the open ones: one, or more where two bots raced."""
        return [pull for pull in self.mine if pull.state == "open"]


@dataclass(frozen=True, slots=True)
class Push:
    """Put a commit that writes `data` on `base_tip`, and the branch there, from `expected`."""

    data: Data
    base_tip: str
    expected: str | None
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Open:
    """Open the pull request."""

    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Edit:
    """Give a pull request this title and body."""

    number: int
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Label:
    """Give a pull request a label, or take it off."""

    number: int
    name: str
    on: bool


@dataclass(frozen=True, slots=True)
class Note:
    """Leave one comment of this kind."""

    number: int
    kind: NoteKind
    text: str


@dataclass(frozen=True, slots=True)
class Close:
    """Close a pull request."""

    number: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Delete the branch, if it is still at `expected`."""

    expected: str


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Make the dashboard, or give it this body. `number` is None for a new one."""

    number: int | None
    body: str


@dataclass(frozen=True, slots=True)
class CloseIssue:
    """Close a second dashboard."""

    number: int


Step = Push | Open | Edit | Label | Note | Close | Drop | Dashboard | CloseIssue
Outcome = Literal[
    "nothing", "current", "opened", "updated", "kept", "withdrawn", "abandoned", "stopped", "rejected",
    "waiting", "limited",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, in order, and why. Each step is done on a state that was read anew.

    `data`: what the pull request asks for, or would; None where that is not known.
    """

    outcome: Outcome
    reason: str
    data: Data | None = None
    steps: tuple[Step, ...] = field(default=())
