"""The tags that are the registry, in GTO's grammar: `model@v1.2.0` a version, `model#stage#7` a stage."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

NUMBER = r"(?:0|[1-9][0-9]{0,8})"
ASSIGNMENT = re.compile(r"(?P<model>[a-z][a-z0-9-]*)#(?P<stage>[a-z][a-z0-9-]*)#(?P<number>[1-9][0-9]{0,8})")
VERSION = re.compile(rf"v({NUMBER})\.({NUMBER})\.({NUMBER})")


@dataclass(frozen=True, slots=True, order=True)
class Assignment:
    """The `number`-th time that `model` got `stage`."""

    model: str
    stage: str
    number: int

    def __str__(self) -> str:
        return f"{self.model}#{self.stage}#{self.number}"


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A semantic version, written `v1.3.0`."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}"

    def tag(self, model: str) -> str:
        return f"{model}@{self}"


def newest(tags: Iterable[str], model: str, stage: str) -> Assignment | None:
    """The latest assignment of `stage`; None when there has been none. Other tags are passed over."""
    found = [one for tag in tags if (one := assignment(tag, model)) and one.stage == stage]
    return max(found, default=None)


def assignment(tag: str, model: str) -> Assignment | None:
    """The assignment of `model` that a tag's name says; None for any other name."""
    match = ASSIGNMENT.fullmatch(tag)
    if match is None or match["model"] != model:
        return None
    return Assignment(model, match["stage"], int(match["number"]))


def version(text: str) -> Version | None:
    """`v1.3.0`; None for anything else, also for GTO's `v1.3.0!` and pre-releases."""
    match = VERSION.fullmatch(text)
    return Version(*map(int, match.groups())) if match else None


def version_of(tag: str, model: str) -> Version | None:
    """The version of `model` that a tag's name says; None for any other name."""
    name, at, text = tag.partition("@")
    return version(text) if at and name == model else None
