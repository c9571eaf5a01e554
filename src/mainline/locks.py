"""Pure: is dvc.lock current and pushed?

DVC says what changed in the work tree. Data that a fresh clone lacks is no change: there the lock must agree
with itself, so what a stage records of a dependency is held against what the stage that made it records.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from pydantic import Field

from mainline.records import Part
from mainline.review import LockState, MissingObject, StaleStage

LOCK = "dvc.lock"
DELETED = "deleted"  # DVC's word for what the work tree lacks
DISAGREES = "dvc.lock has "
UNNAMED = "is not in dvc.lock"
WORDS = {DELETED: "is gone", "new": UNNAMED, "modified": "changed"}


class Item(Part):
    """A dependency or an output. `md5`: as in the lock. `seen`: DVC's word for the work tree, empty if equal.

    `cached`: kept in DVC's cache, so a fresh clone has it only on the remote.
    """

    path: str
    md5: str | None
    seen: str = ""
    cached: bool = False


class Stage(Part):
    """A stage of dvc.yaml, or a `.dvc` file (outputs only). `params`: what DVC says, by file and key."""

    name: str
    frozen: bool = False
    always: bool = False
    command_changed: bool = False
    deps: tuple[Item, ...] = ()
    outs: tuple[Item, ...] = ()
    params: dict[str, str | dict[str, str]] = Field(default_factory=dict)


class Survey(Part):
    """What was seen of the work tree and of the remote.

    `leftover`: what the lock has and dvc.yaml no longer names, in words, by stage.
    `listings`: md5 by path, of each directory whose listing could be read, by the directory's md5.
    `problem`: why the lock or the remote could not be read.
    """

    stages: tuple[Stage, ...] = ()
    leftover: dict[str, list[str]] = Field(default_factory=dict)
    listings: dict[str, dict[str, str]] = Field(default_factory=dict)
    remote: str | None = None
    objects: int = 0
    missing: tuple[MissingObject, ...] = ()
    problem: str = ""


def judge(seen: Survey, commit: str, lock_sha256: str | None = None) -> LockState:
    """Broken when something is missing that no stale stage would make again; else stale; else current."""
    stale, unproven = _staleness(seen)
    again = _downstream({found.stage for found in stale}, seen.stages)
    made = {out.path for stage in seen.stages if stage.name in again for out in stage.outs}
    broken = bool(seen.problem) or any(item.path not in made for item in seen.missing)
    return LockState(
        state="broken" if broken else "stale" if stale else "current",
        commit=commit,
        lock_sha256=lock_sha256,
        remote=seen.remote,
        objects=seen.objects,
        stale=stale,
        missing=list(seen.missing),
        unproven=unproven,
        problem=seen.problem,
    )


def of_a_run(path: str, seen: Survey) -> bool:
    """A run may change this file for Git: the lock, and the outputs that Git keeps instead of DVC."""
    kept = {out.path for stage in seen.stages for out in stage.outs if not out.cached}
    return path == LOCK or inside(path, kept)


def _staleness(seen: Survey) -> tuple[list[StaleStage], list[str]]:
    makers = {out.path: (stage.name, out) for stage in seen.stages for out in stage.outs}
    stale, unproven = [], []
    for stage in seen.stages:
        reasons = [*_own_reasons(stage), *seen.leftover.get(stage.name, ())]
        for dep in () if stage.frozen or not _recorded(stage) else stage.deps:
            reason, known = _dependency(dep, makers, seen.listings)
            reasons += [reason] if reason else []
            unproven += [] if known else [f"{stage.name}: {dep.path}"]
        if reasons:
            stale.append(StaleStage(stage=stage.name, reasons=reasons))
    gone = seen.leftover.keys() - {stage.name for stage in seen.stages}
    return [*stale, *(StaleStage(stage=name, reasons=seen.leftover[name]) for name in sorted(gone))], unproven


def _recorded(stage: Stage) -> bool:
    return not stage.deps + stage.outs or any(item.md5 for item in stage.deps + stage.outs)


def _own_reasons(stage: Stage) -> Iterator[str]:
    if not _recorded(stage):
        yield f"it {UNNAMED}"
        return
    if stage.always:
        yield "it always runs"
    if stage.command_changed:
        yield "its command changed"
    for out in stage.outs:
        if out.md5 is None:
            yield f"output {out.path} {UNNAMED}"
        elif out.seen and not (out.seen == DELETED and out.cached):
            yield f"output {out.path} {_words(out.seen)}"
    for file, what in {} if stage.frozen else stage.params.items():
        keys = what.items() if isinstance(what, dict) else [("", what)]
        yield from (
            f"{file}: {key} {_words(word)}" if key else f"{file} {_words(word)}" for key, word in keys
        )


def _dependency(
    dep: Item, makers: Mapping[str, tuple[str, Item]], listings: Mapping[str, dict[str, str]]
) -> tuple[str, bool]:
    """Why it makes its stage stale, if it does; and whether that could be known."""
    if dep.md5 is None:
        return f"{dep.path} {UNNAMED}", True
    if dep.seen not in ("", DELETED):
        return f"{dep.path} {_words(dep.seen)}", True
    folder = next((p for p in (dep.path, *map(str, PurePosixPath(dep.path).parents)) if p in makers), None)
    if folder is None:
        return (f"{dep.path} {_words(dep.seen)}" if dep.seen else ""), True
    maker, out = makers[folder]
    if dep.seen and not out.cached:
        return f"{dep.path} {_words(dep.seen)}", True
    if folder == dep.path:
        promised = out.md5
    elif out.md5 is not None and out.md5 in listings:
        promised = member(listings[out.md5], str(PurePosixPath(dep.path).relative_to(folder)))
    else:
        return "", not dep.seen
    if promised == dep.md5 or out.md5 is None:
        return "", True
    return f"{DISAGREES}{dep.path} as {dep.md5}, but {maker} made {promised or 'no such file'}", True


def member(listing: Mapping[str, str], path: str) -> str | None:
    """md5 of a file or folder inside a directory, from its listing; a folder's is that of its own listing."""
    if path in listing:
        return listing[path]
    start = f"{path}/"
    inside = [
        {"md5": md5, "relpath": p.removeprefix(start)}
        for p, md5 in sorted(listing.items())
        if p.startswith(start)
    ]
    if not inside:
        return None
    return f"{hashlib.md5(json.dumps(inside).encode(), usedforsecurity=False).hexdigest()}.dir"


def _downstream(names: set[str], stages: tuple[Stage, ...]) -> set[str]:
    """These stages, and all that would run after them if their outputs came out different."""
    found, size = set(names), -1
    while len(found) != size:
        size = len(found)
        made = {out.path for stage in stages if stage.name in found for out in stage.outs}
        found |= {s.name for s in stages if any(inside(dep.path, made) for dep in s.deps)}
    return found


def inside(path: str, folders: set[str]) -> bool:
    """Whether it is one of these folders, or lies in one."""
    return path in folders or any(str(parent) in folders for parent in PurePosixPath(path).parents)


def _words(seen: str) -> str:
    return WORDS.get(seen, f"is {seen}")
