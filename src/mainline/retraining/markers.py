"""Pure: what the bot hides in its texts, to find it again: a marker no text can forge, and checkboxes.

A marker is a whole line, and its JSON is base64: nothing that a column, a branch or a title holds can end it
or make a second one. Two markers in one body, or one that cannot be read, are "damaged", never "none".
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Literal

from pydantic import Field, ValidationError

from mainline.errors import RecordError
from mainline.records import Part

LINE = re.compile(r"^<!-- mainline:retrain v1 (.*) -->[ \t]*$", re.MULTILINE)
NOTE = re.compile(r"^<!-- mainline:retrain-note ([a-z]+) -->[ \t]*$", re.MULTILINE)
ISSUE = "<!-- mainline:retrain-dashboard v1 -->"
BOX = "- [{}] <!-- mainline:{} -->"
INSTANT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\+00:00|Z)$"


class Training(Part):
    """One time that the branch was moved, so a training: the bot's commit, when, and the hours it took."""

    commit: str = Field(pattern=r"^[0-9a-f]{12}$")
    at: str = Field(pattern=INSTANT)
    hours: float = Field(ge=0, le=100_000)


class Marker(Part):
    """`fingerprint`: the evidence. `asked`: a person asked for it, so the watch does not take it back.

    `withdrawn`: the bot closed it, so its end is nobody's rejection.
    """

    version: Literal[1] = 1
    fingerprint: str = Field(max_length=200)
    as_of: str = Field(max_length=20)
    release: str = Field(max_length=200)
    asked: bool = False
    withdrawn: bool = False
    trainings: list[Training] = Field(default_factory=list, max_length=1000)


def write(marker: Marker) -> str:
    """The line that holds a marker."""
    text = json.dumps(marker.model_dump(mode="json"), sort_keys=True)
    return f"<!-- mainline:retrain v1 {base64.b64encode(text.encode()).decode()} -->"


def read(body: str) -> Marker | None:
    """The marker of a body; None where there is none. Raises RecordError where it is damaged."""
    found = LINE.findall(body.replace("\r\n", "\n"))
    if not found:
        return None
    try:
        if len(found) > 1:
            raise ValueError("there are two")
        return Marker.model_validate_json(base64.b64decode(found[0], validate=True))
    except (ValueError, binascii.Error, ValidationError):
        raise RecordError(
            "the hidden marker of the bot cannot be read",
            remedy="restore the description from its edit history, or take the marker's line out",
        ) from None


def note(kind: str) -> str:
    """The line by which a comment of the bot is found."""
    return f"<!-- mainline:retrain-note {kind} -->"


def kind_of(comment: str) -> str | None:
    """The kind of one of the bot's comments; None for any other."""
    found = NOTE.findall(comment.replace("\r\n", "\n"))
    return found[0] if len(found) == 1 else None


def box(name: str, *, ticked: bool = False) -> str:
    """The start of a line with a checkbox."""
    return BOX.format("x" if ticked else " ", name)


def is_ticked(body: str, name: str) -> bool:
    """Did somebody tick that checkbox?"""
    return bool(re.search(rf"^- \[[xX]\] <!-- mainline:{re.escape(name)} -->", body, re.MULTILINE))
