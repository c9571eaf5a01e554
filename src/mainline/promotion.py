"""Pure: what the registry's tags say, and what follows: which version a stage has, had, and may get.

A stage tag points to the commit of its version, as GTO has it, and its message names the object of that
version's tag, so that one that was moved is seen. The number of a stage tag is its place in the history: two
that take the same number at once cannot both arrive, so the history is one line.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mainline import releases, tags
from mainline.errors import RecordError
from mainline.releases import Release
from mainline.tags import Assignment, Version

STAGING: Final = "staging"
PRODUCTION: Final = "production"
REASON = re.compile(r"(?m)^Reason: (.+)$")
NAMED = re.compile(r"(?m)^Version-Tag: (\S{1,200}) ([0-9a-f]{40,64})$")  # in a stage tag's message


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag as Git has it. Only an annotated one has the rest: the name inside, who, when (ISO), the words.

    `target`: the object that the name points to; `commit`: what that is a tag of, if it is a commit. `doubt`:
    of a stage tag where tags must be signed: why this one's signature does not count.
    """

    name: str
    target: str
    commit: str | None
    annotated: bool = False
    inner: str = ""
    who: str = ""
    when: str = ""
    message: str = ""
    doubt: str = ""

    @property
    def problem(self) -> str:
        """Why nobody may rely on it; empty when all is well."""
        if not self.annotated:
            return "it is a lightweight tag, which says neither who nor why"
        if self.inner != self.name:
            return f"inside it is called {self.inner!r}: somebody copied another tag"
        return self.doubt if self.commit else "it does not point to a commit"


@dataclass(frozen=True, slots=True)
class Turn:
    """One time that a stage got a version; None where none stands at its commit, or not the named object."""

    assignment: Assignment
    version: Version | None
    tag: Tag


@dataclass(frozen=True, slots=True)
class Book:
    """All tags of one model, and where main is on origin (None when that is not known)."""

    model: str
    tags: tuple[Tag, ...]
    main: str | None = None

    def versions(self) -> dict[Version, Tag]:
        """Every version tag by version, also those that nobody may rely on."""
        return {v: tag for tag in self.tags if (v := tags.version_of(tag.name, self.model))}

    def find(self, text: str) -> tuple[Version, Tag]:
        """The version that a person names, `v1.3.0` or `model@v1.3.0`. Raises RecordError for none."""
        version = tags.version(text.removeprefix(f"{self.model}@"))
        found = self.versions()
        if version is None or version not in found:
            known = ", ".join(str(one) for one in sorted(found, reverse=True)[:5]) or "none yet"
            raise RecordError(
                f"there is no version {text!r} of {self.model}",
                why=f"origin's newest are: {known}",
                remedy="mainline status",
            )
        return version, found[version]

    def history(self, stage: str) -> list[Turn]:
        """Every assignment of the stage, the oldest first; a version tag counts if its record is its own."""
        own = [(one, tag) for one, tag in sorted(self.versions().items()) if _own(self.model, one, tag)]
        at = {str(tag.commit): one for one, tag in own}
        objects = {(tag.name, tag.target, tag.commit): one for one, tag in own}
        turns = [
            Turn(one, objects.get((*it, tag.commit)) if (it := names(tag)) else at.get(str(tag.commit)), tag)
            for tag in self.tags
            if (one := tags.assignment(tag.name, self.model)) and one.stage == stage and not tag.problem
        ]
        return sorted(turns, key=lambda turn: turn.assignment)

    def assigned(self, stage: str) -> list[Tag]:
        """Every tag that is named as an assignment of the stage, the newest first, whatever it is worth."""
        named = [(one, tag) for tag in self.tags if (one := tags.assignment(tag.name, self.model))]
        return [tag for one, tag in sorted(named, key=lambda it: it[0], reverse=True) if one.stage == stage]

    def naming(self, version: Version) -> list[Tag]:
        """The stage tags that name an object of this version's tag, the right one or another."""
        name = version.tag(self.model)
        staged = [tag for tag in self.tags if tags.assignment(tag.name, self.model) and not tag.problem]
        return [tag for tag in staged if (named := names(tag)) and named[0] == name]

    def current(self, stage: str) -> Turn | None:
        """The newest assignment."""
        return next(reversed(self.history(stage)), None)

    def following(self, stage: str) -> Assignment:
        """The next free assignment; names that exist count whatever they are."""
        last = tags.newest((tag.name for tag in self.tags), self.model, stage)
        return Assignment(self.model, stage, last.number + 1 if last else 1)

    def stages(self) -> list[str]:
        """Every stage that was ever assigned."""
        return sorted({one.stage for tag in self.tags if (one := tags.assignment(tag.name, self.model))})


def record(model: str, version: Version, tag: Tag) -> Release:
    """The record of a version's tag, if the tag is one and the record speaks of it. Raises RecordError."""
    if tag.problem:
        raise RecordError(f"{tag.name} is no version", why=tag.problem, remedy="see who made it: git show")
    found = releases.parse(tag.message, name=tag.name)
    if (found.model, found.release, found.commit) != (model, str(version), tag.commit):
        raise RecordError(
            f"the record in {tag.name} is of another release",
            why=f"it says {found.model} {found.release} at {found.commit[:9]}",
            remedy="somebody copied a record: do not release it",
        )
    return found


def reason(tag: Tag) -> str:
    """The reason in a tag's message; empty when it gives none. Anybody may have written it."""
    found = REASON.search(tag.message[:5000])
    return found[1] if found else ""


def names(tag: Tag) -> tuple[str, str] | None:
    """The version tag that a stage tag is about, and its object; None in one of before, or made by hand."""
    match = NAMED.search(tag.message[: releases.LONGEST])
    return (match[1], match[2]) if match else None


@functools.lru_cache(maxsize=10_000)  # a book is asked for its history again and again
def _own(model: str, version: Version, tag: Tag) -> bool:
    try:
        record(model, version, tag)
    except RecordError:
        return False
    return True


def standing(history: Sequence[Turn]) -> list[Version]:
    """The versions that a stage went through, without what was rolled back; the last one is current.

    Going back to an earlier version undoes all that came after it: so a second rollback goes further back,
    and never forward to the version that the first one left.
    """
    stack: list[Version] = []
    for turn in history:
        if turn.version is None:
            continue
        if turn.version in stack:
            del stack[stack.index(turn.version) + 1 :]
        else:
            stack.append(turn.version)
    return stack


def rollbacks(history: Sequence[Turn]) -> dict[Assignment, Version]:
    """Which assignments went back to an earlier version, and from which."""
    found: dict[Assignment, Version] = {}
    for number, turn in enumerate(history):
        before = standing(history[:number])
        if turn.version in before[:-1]:
            found[turn.assignment] = before[-1]
    return found


def back_to(book: Book, wanted: str | None) -> Version:
    """The version that a rollback of production goes to. Raises RecordError when it may not."""
    history = book.history(PRODUCTION)
    if wanted is not None:
        version, _ = book.find(wanted)
        if version not in [turn.version for turn in history]:
            raise RecordError(
                f"{version} never was in production",
                why="a rollback goes to what has run there before",
                remedy=f"mainline release {version}, if it was verified in staging",
            )
        return version
    stack = standing(history)
    if len(stack) < 2:
        now = f"{stack[-1]} is the first one" if stack else "nothing is in production"
        raise RecordError("there is no earlier version to go back to", why=now, remedy="mainline status")
    return stack[-2]


def was_in(book: Book, stage: str, version: Version) -> Turn | None:
    """The last time that the stage had this version."""
    turns: Iterable[Turn] = reversed(book.history(stage))
    return next((turn for turn in turns if turn.version == version), None)


def words(book: Book, version: Version, stage: str, target: str, reason: str = "") -> str:
    """A stage tag's message. `target`: the object of the version's tag; the reason on one line, printable."""
    before = book.current(stage)
    lines = [f"{book.model} {version} to {stage}", "", f"Version-Tag: {version.tag(book.model)} {target}"]
    if before is not None and before.version is not None:
        lines.append(f"Before: {before.version}")
    clean = "".join(char for char in " ".join(reason.split()) if char.isprintable())[:300]
    return "\n".join([*lines, *([f"Reason: {clean}"] if clean else [])]) + "\n"
