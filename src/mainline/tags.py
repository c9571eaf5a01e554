"""The tags that are the registry, in GTO's grammar: `model@v1.2.0` a version, `model#stage#7` a stage."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

ASSIGNMENT = re.compile(r"(?P<model>[a-z][a-z0-9-]*)#(?P<stage>[a-z][a-z0-9-]*)#(?P<number>[1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True, order=True)
class Assignment:
    """The `number`-th time that `model` got `stage`."""

    model: str
    stage: str
    number: int

    def __str__(self) -> str:
        return f"{self.model}#{self.stage}#{self.number}"


def newest(tags: Iterable[str], model: str, stage: str) -> Assignment | None:
    """The latest assignment of `stage`; None when there has been none. Other tags are passed over."""
    found = [
        Assignment(model, stage, int(match["number"]))
        for tag in tags
        if (match := ASSIGNMENT.fullmatch(tag)) and (match["model"], match["stage"]) == (model, stage)
    ]
    return max(found, default=None)
