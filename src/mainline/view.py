"""What a model registry must do to be a view of Git, and what somebody else changed in it. Pure.

The registry keeps beside each alias the number it was last given here (a mark). An alias that is still there
is only behind Git, and moves; one that is elsewhere was moved by somebody else, which is told before it is
healed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from mainline import promotion
from mainline.errors import RecordError
from mainline.promotion import PRODUCTION, STAGING, Book
from mainline.releases import Release

NAME = "mainline.version"  # the tag by which a registered version is ours
MARK = "mainline.alias."  # and the stage: tags of the registered model
LONGEST = 500  # characters of a tag's value that every store of MLflow takes


@dataclass(frozen=True, slots=True)
class Version:
    """A version as its Git tag tells it. `tags`: what the registry shall say of it."""

    name: str
    record: Release
    tags: dict[str, str]


@dataclass(frozen=True, slots=True)
class View:
    """What Git says. `versions` rise; `stages`: the version that each stage has, None if unknown.

    `unread`: tags that nobody may rely on, with the reason; they count for nothing.
    """

    model: str
    versions: tuple[Version, ...]
    stages: dict[str, str | None]
    unread: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the registry holds of ours: `numbers` and `tags` by version, `aliases` by stage, `marks` likewise.

    `foreign`: numbers of versions that are none of ours; they stay as they are.
    """

    numbers: dict[str, int] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    foreign: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do. `subject`: a version, or a stage. `wanted`: its version; "" to remove an alias.

    `found`: what is there instead, in words. `out_of_band`: somebody else did that; only `--heal` undoes it.
    """

    kind: Literal["register", "tags", "alias", "mark"]
    subject: str
    wanted: str
    found: str = ""
    out_of_band: bool = False


def view(book: Book) -> View:
    """Git's view: every version whose tag holds its own record, and the stages that have one of them."""
    versions, unread = [], {}
    for version, tag in sorted(book.versions().items()):
        try:
            record = promotion.record(book.model, version, tag)
            versions.append(Version(str(version), record, describe(record)))
        except RecordError as error:
            unread[tag.name] = f"{error.what} {error.why}".strip()
    known = {one.name for one in versions}
    stages: dict[str, str | None] = {}
    for stage in book.stages():
        turn = book.current(stage)
        if turn is None:
            continue
        if str(turn.version) in known:
            stages[stage] = str(turn.version)
        else:
            stages[stage] = None
            unread[turn.tag.name] = f"no version with a record stands at {(turn.tag.commit or '')[:9]}"
    return View(book.model, tuple(versions), stages, unread)


def describe(record: Release) -> dict[str, str]:
    """The tags of a registered version: what it is, by digests."""
    found = {
        NAME: record.release,
        "mainline.commit": record.commit,
        "mainline.lock_sha256": record.lock_sha256,
        "mainline.model_md5": record.model_md5,
        "mainline.model_sha256": record.model_sha256,
        "mainline.gate": record.gate.verdict,
        **{f"mainline.data.{_key(path)}": md5 for path, md5 in sorted(record.data_md5.items())},
        **{f"mainline.{name}.sha256": one.sha256 for name, one in sorted(record.artifacts.items())},
    }
    found |= {"mainline.image": record.image} if record.image else {}
    found |= {"mainline.run": record.mlflow_run} if record.mlflow_run else {}
    return {key[: LONGEST // 2]: value[:LONGEST] for key, value in found.items()}


def plan(git: View, seen: Seen) -> list[Step]:
    """What makes the registry that view, in order: versions, what is said of them, aliases."""
    steps = [Step("register", one.name, one.name) for one in git.versions if one.name not in seen.numbers]
    for one in git.versions:
        if one.name in seen.numbers and (wrong := _differing(one.tags, seen.tags.get(one.name, {}))):
            steps.append(Step("tags", one.name, one.name, f"changed: {', '.join(wrong)}", True))
    for stage in sorted({*git.stages, STAGING, PRODUCTION}):
        wanted = git.stages.get(stage, "")
        if wanted is not None:
            steps += _alias(stage, wanted, seen)
    return steps


def _key(path: str) -> str:
    """What MLflow takes in a key: other signs become underscores."""
    return "".join(sign if sign.isascii() and (sign.isalnum() or sign in "_-. /") else "_" for sign in path)


def _alias(stage: str, wanted: str, seen: Seen) -> Iterable[Step]:
    number, marked = seen.aliases.get(stage), seen.marks.get(stage, "").split()
    right = seen.numbers.get(wanted)
    if number == right and (wanted in seen.numbers or not wanted):
        if marked != ([] if right is None else [str(right)]):
            yield Step("mark", stage, wanted)
        return
    untouched = (not marked) if number is None else str(number) in marked
    yield Step("alias", stage, wanted, "" if number is None else _name(number, seen), not untouched)


def _name(number: int, seen: Seen) -> str:
    for name, other in seen.numbers.items():
        if other == number:
            return name
    return f"number {number}, which is none of ours"


def _differing(wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Keys that differ, or that nobody but us would have written."""
    ours = {key for key in found if key.startswith("mainline.")}
    return sorted(key for key in ours | wanted.keys() if wanted.get(key) != found.get(key))
