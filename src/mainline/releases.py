"""The release record: YAML in the message of an annotated version tag, the one thing that travels.

It names every artifact by digest. The files lie on the DVC remote as objects (`md5`): who can read the remote
and the tag needs nothing else. Anybody with the right to push tags writes messages, so reading is strict.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError

from mainline.errors import RecordError
from mainline.records import Part

MARK = "--- # release record\n"  # separates the record from the words above it, for people
LONGEST = 100_000  # characters of a tag's message; more is not ours
DEEPEST = 8
SIGNATURE = re.compile(r"(?m)^-----BEGIN ")

Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=60)]
Words = Annotated[str, Field(max_length=10_000)]
Image = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*@sha256:[0-9a-f]{64}$", max_length=500)]
Run = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Artifact(Part):
    """A file of the release: its name, how DVC finds it, and the digest that is checked."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=120)]
    md5: Md5
    sha256: Sha256
    bytes: Annotated[int, Field(ge=1)]


class Verdict(Part):
    """What the gate said when this was merged. `accepted`: a hold, which the merge accepted."""

    verdict: Literal["promote", "hold"]
    reason: Words
    champion: Words
    accepted: bool


class Release(Part):
    """The record. `data_md5` by path (`data/raw`, `data/features`); `figures` are the headline ones.

    `artifacts`: `bento`, `sbom`, `provenance`, and `signature` when signing is on. `image`: name@sha256:…
    """

    version: Literal[1] = 1
    model: Name
    release: Annotated[str, Field(pattern=r"^v[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}$")]
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
    lock_sha256: Sha256
    data_md5: dict[Words, Annotated[str, Field(pattern=r"^[0-9a-f]{32}(\.dir)?$")]]
    model_md5: Md5
    model_sha256: Sha256
    artifacts: dict[Name, Artifact]
    image: Image | None
    figures: dict[Words, float | None]
    gate: Verdict
    mlflow_run: Run | None


def write(record: Release, words: str) -> str:
    """A tag's message: `words` for people, then the record."""
    text = yaml.safe_dump(record.model_dump(mode="json"), sort_keys=False, allow_unicode=False, width=100)
    return f"{words.strip()}\n\n{MARK}{text}"


def parse(message: str, *, name: str = "the tag") -> Release:
    """The record in a tag's message. Raises RecordError when there is none, or one of another form."""
    if len(message) > LONGEST:
        raise RecordError(f"{name} holds no release record", why=f"it is longer than {LONGEST:,} characters")
    _, mark, text = message.rpartition(f"\n{MARK}")
    if not mark:
        raise RecordError(f"{name} holds no release record", remedy="was it made by `mainline promote`?")
    try:
        return Release.model_validate(_load(SIGNATURE.split(text)[0]))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        why = f"{'.'.join(map(str, first['loc'])) or 'the record'}: {first['msg']}"[:300]
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0][:300]
    raise RecordError(f"{name} holds no valid release record", why=ascii(why)[1:-1])


def _load(text: str) -> Any:
    """YAML without aliases, not deep: a few lines of aliases, or brackets, keep a reader busy for ever."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("it has a YAML alias")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError("it is nested too deep")
    return yaml.safe_load(text)
