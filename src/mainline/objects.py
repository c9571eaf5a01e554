"""The adapter that brings single objects by md5, from DVC's cache or the remote, and puts some there.

By md5, because `dvc get --rev` would ask the remote of that revision's configuration, which may have moved
since. `mainline.store`, a process of its own, keeps DVC's imports, output and hangs out of ours.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mainline.errors import IntegrityError, StorageError

MD5 = re.compile(r"[0-9a-f]{32}")
SECRETS = re.compile(r"//[^/@\s]*@")
TIMEOUT = 600  # seconds
WHOLE = 6 * 3600  # seconds, for all data of a version
CHUNK = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Digests:
    """What some bytes are."""

    md5: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Sound:
    """What reading an output found: so many files and bytes, and what is lacking or is something else."""

    files: int
    bytes: int
    missing: list[str]
    damaged: list[str]


@dataclass(frozen=True, slots=True)
class Brought:
    """What became of outputs: brought as the lock has them; lacking, as nowhere to be had (`problem`: why).

    `kept`: where lies now what was in an output's place and in no cache.
    """

    brought: list[str]
    lacking: list[str]
    kept: dict[str, str]
    problem: str


def bring(root: Path, outputs: list[str], *, fetch: bool) -> Brought:
    """Put these outputs of dvc.lock into the work tree from DVC's cache, with `fetch` from the remote too.

    What nothing could bring back is moved to `.mainline/replaced`, or, where a `.dvc` file names it, left: it
    is new data. Raises StorageError, also when another run is at these outputs.
    """
    wanted = dict.fromkeys(outputs, "")
    said = _ask(root, "bring" if fetch else "restore", wanted, f"bring {', '.join(outputs)}", WHOLE)
    return Brought(**{**said, "problem": SECRETS.sub("//", said["problem"])})


def fetch(root: Path, wanted: Mapping[str, str]) -> None:
    """Write the object of each md5 to its path, relative to `root`; what is there already is replaced.

    Raises StorageError when an object is neither in the cache nor on the remote, IntegrityError when the
    cache holds something else under its name.
    """
    if wrong := [path for path, md5 in wanted.items() if not MD5.fullmatch(md5)]:
        raise StorageError(f"dvc.lock has no md5 of a file for {', '.join(wrong)}", remedy="make run")
    from mainline.records import write_atomically  # not at the top: `store` imports this module

    said = _ask(root, "fetch", dict(wanted), f"fetch {', '.join(wanted)}")
    for path, place in said["there"].items():
        write_atomically(root / path, Path(place).read_bytes())
    if said["damaged"]:
        raise IntegrityError(
            f"DVC's cache holds something else under the name of {', '.join(said['damaged'])}",
            remedy="delete that object from the cache and run this again",
        )
    if said["missing"]:
        raise StorageError(
            f"neither the cache nor the remote has {', '.join(said['missing'])}",
            why=SECRETS.sub("//", said["problem"]),
            remedy="`mainline lock` names what was never pushed",
        )


def put(root: Path, files: Mapping[str, Path]) -> dict[str, Digests]:
    """Put these files on the remote by their md5, read them back, and say what they are, by name.

    What is there whole is left alone, what is damaged is replaced. Raises StorageError when the remote does
    not take them, IntegrityError when it gives something else back.
    """
    mine = {name: digests(path) for name, path in files.items()}
    wanted = {mine[name].md5: str(path.resolve()) for name, path in files.items()}
    there = _parsed(_ask(root, "put", wanted, f"put {', '.join(files)} on the remote"))
    if wrong := [name for name, own in mine.items() if there.get(own.md5) != own]:
        raise IntegrityError(
            f"the remote gives back something else for {', '.join(wrong)}",
            remedy="is its disk full, or is something between? Nothing was tagged; run this again",
        )
    return mine


def look(root: Path, md5s: list[str]) -> dict[str, Digests]:
    """What the remote, not the cache, has under these md5s; without what it lacks. Raises StorageError."""
    return _parsed(_ask(root, "look", {md5: "" for md5 in md5s if MD5.fullmatch(md5)}, "read the remote"))


def read(root: Path, md5s: list[str]) -> dict[str, Sound]:
    """What is on the remote under these names, directories (`….dir`) with all that they list, byte by byte.

    Raises StorageError when the remote fails, or takes more than six hours.
    """
    said = _ask(root, "read", dict.fromkeys(md5s, ""), "read the remote", WHOLE)
    _answered(said)
    return {md5: Sound(**found) for md5, found in said["there"].items()}


def digests(path: Path) -> Digests:
    """Of a file here."""
    with path.open("rb") as file:
        return of_bytes(file)


def of_bytes(file: BinaryIO) -> Digests:
    """Of what is left of an open file."""
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    while chunk := file.read(CHUNK):
        md5.update(chunk)
        sha256.update(chunk)
        size += len(chunk)
    return Digests(md5.hexdigest(), sha256.hexdigest(), size)


def _ask(
    root: Path, verb: str, wanted: Mapping[str, str], doing: str, seconds: float = TIMEOUT
) -> dict[str, Any]:
    """What the other process says. Raises StorageError."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "mainline.store", verb],
            cwd=root,
            input=json.dumps(wanted),
            capture_output=True,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise StorageError(f"the remote did not answer within {seconds:g} s") from None
    try:
        return dict(json.loads(done.stdout.splitlines()[-1]))
    except (ValueError, IndexError):
        why = SECRETS.sub("//", done.stderr.strip()[-500:])
        raise StorageError(f"DVC could not {doing}", why=why) from None


def _parsed(said: dict[str, Any]) -> dict[str, Digests]:
    _answered(said)
    return {md5: Digests(**found) for md5, found in said["there"].items()}


def _answered(said: dict[str, Any]) -> None:
    if said["problem"]:
        raise StorageError(
            "the remote failed",
            why=SECRETS.sub("//", said["problem"]),
            remedy="is it reachable, and may you write to it? What arrived stays; run this again",
        )
