"""The state that the page shows: what Git's tags, the records and the forge say, in one file.

`mainline site` collects it; `python -m monitoring site` draws it and asks nothing else, so the same state
gives the same page. All text in it may be foreign.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mainline.drift import Drift
from mainline.records import Figure, Part, Record
from mainline.releases import Release
from mainline.watching import Watch


class Change(Part):
    """One time that a stage got a version; null where none stands at the tag's commit. `when`: ISO, UTC.

    `left`: the version that a rollback came from; null for any other change.
    """

    stage: str
    number: int
    version: str | None
    commit: str | None
    who: str
    when: str
    why: str
    left: str | None = None


class Evaluation(Part):
    """What a version recorded on its test rows; `windows`: first and last month of each split."""

    rows: int
    blocks: int
    figures: dict[str, Figure]
    windows: dict[str, list[str]]


class Version(Part):
    """A version tag. `problem`: why its record cannot be relied on; `record` is null then."""

    version: str
    commit: str | None
    who: str
    when: str
    why: str
    problem: str
    record: Release | None
    evaluation: Evaluation | None


class Pull(Part):
    """A retraining pull request. `opened`, `closed`: ISO, UTC."""

    number: int
    title: str
    url: str
    state: Literal["open", "merged", "closed"]
    opened: str
    closed: str | None


class Resource(Part):
    """A further page: `href` is relative to this one, or http(s)."""

    name: str
    about: str
    href: str


class State(Record):
    """`versions` and `history`: the newest first. `now`: by stage. `pulls`: null when nobody was asked, and
    `pulls_note` says why. `deciding`: the figure that the gate decides by. `repository`: its address for
    people, e.g. https://github.com/owner/name. `at`: when it was collected; null leaves the clock out.
    `notes`: what is missing from this state, in sentences.
    """

    location = Path(".mainline/site/state.json")
    version: Literal[1] = 1
    model: str
    deciding: str
    commit: str
    repository: str | None
    at: str | None
    now: dict[str, Change]
    versions: list[Version]
    history: list[Change]
    drift: Drift | None
    watch: Watch | None
    pulls: list[Pull] | None
    pulls_note: str
    resources: list[Resource]
    notes: list[str]

    def find(self, version: str | None) -> Version | None:
        """The version of that name."""
        return next((one for one in self.versions if one.version == version), None)
