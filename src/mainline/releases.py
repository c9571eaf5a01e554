"""The release record: YAML in the message of an annotated version tag, the one thing that travels.

It names every artifact by digest. The files lie on the DVC remote as objects (`md5`): who can read the remote
and the tag needs nothing else.
"""

from __future__ import annotations

import re
from typing import Literal

import yaml
from pydantic import ValidationError

from mainline.errors import RecordError
from mainline.records import Part

MARK = "--- # release record\n"  # separates the record from the words above it, for people
LONGEST = 100_000  # characters of a tag's message; more is not ours


class Artifact(Part):
    """A file of the release: its name, how DVC finds it, and the digest that is checked."""

    name: str
    md5: str
    sha256: str
    bytes: int


class Verdict(Part):
    """What the gate said when this was merged. `accepted`: a hold, which the merge accepted."""

    verdict: Literal["promote", "hold"]
    reason: str
    champion: str
    accepted: bool


class Release(Part):
    """The record. `data_md5` by path (`data/raw`, `data/features`); `figures` are the headline ones.

    `artifacts`: `bento`, `sbom`, `provenance`, and `signature` when signing is on. `image`: name@sha256:…
    """

    version: Literal[1] = 1
    model: str
    release: str
    commit: str
    lock_sha256: str
    data_md5: dict[str, str]
    model_md5: str
    model_sha256: str
    artifacts: dict[str, Artifact]
    image: str | None
    figures: dict[str, float | None]
    gate: Verdict
    mlflow_run: str | None


def write(record: Release, words: str) -> str:
    """A tag's message: `words` for people, then the record."""
    text = yaml.safe_dump(record.model_dump(mode="json"), sort_keys=False, allow_unicode=False, width=100)
    return f"{words.strip()}\n\n{MARK}{text}"


def parse(message: str, *, name: str = "the tag") -> Release:
    """The record in a tag's message. Raises RecordError when there is none, or one of another form."""
    _, mark, text = message[:LONGEST].rpartition(f"\n{MARK}")
    if not mark:
        raise RecordError(f"{name} holds no release record", remedy="was it made by `mainline promote`?")
    try:
        return Release.model_validate(yaml.safe_load(re.split(r"(?m)^-----BEGIN ", text)[0]))
    except (yaml.YAMLError, ValidationError) as error:
        why = str(error).splitlines()[0]
        raise RecordError(f"{name} holds no valid release record", why=why) from None
