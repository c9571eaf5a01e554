"""The adapter that brings single objects by md5, from DVC's cache or the remote, and puts some there.

By md5, because `dvc get --rev` would ask the remote of that revision's configuration, which may have moved
since. A process of its own (`python -m mainline.objects`) keeps DVC's imports, output and hangs out of ours.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mainline.errors import IntegrityError, StorageError
from mainline.records import write_atomically

MD5 = re.compile(r"[0-9a-f]{32}")
SECRETS = re.compile(r"//[^/@\s]*@")
TIMEOUT = 600  # seconds
CHUNK = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Digests:
    """What some bytes are."""

    md5: str
    sha256: str
    bytes: int


def fetch(root: Path, wanted: Mapping[str, str]) -> None:
    """Write the object of each md5 to its path, relative to `root`; what is there already is replaced.

    Raises StorageError when an object is neither in the cache nor on the remote, IntegrityError when the
    cache holds something else under its name.
    """
    if wrong := [path for path, md5 in wanted.items() if not MD5.fullmatch(md5)]:
        raise StorageError(f"dvc.lock has no md5 of a file for {', '.join(wrong)}", remedy="make run")
    said = _ask(root, "fetch", dict(wanted), f"fetch {', '.join(wanted)}")
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


def digests(path: Path) -> Digests:
    """Of a file here."""
    with path.open("rb") as file:
        return _digests(file)


def _digests(file: BinaryIO) -> Digests:
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    while chunk := file.read(CHUNK):
        md5.update(chunk)
        sha256.update(chunk)
        size += len(chunk)
    return Digests(md5.hexdigest(), sha256.hexdigest(), size)


def _ask(root: Path, verb: str, wanted: Mapping[str, str], doing: str) -> dict[str, Any]:
    """What the other process says. Raises StorageError."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "mainline.objects", verb],
            cwd=root,
            input=json.dumps(wanted),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise StorageError(f"the remote did not answer within {TIMEOUT} s") from None
    try:
        return dict(json.loads(done.stdout.splitlines()[-1]))
    except (ValueError, IndexError):
        why = SECRETS.sub("//", done.stderr.strip()[-500:])
        raise StorageError(f"DVC could not {doing}", why=why) from None


def _parsed(said: dict[str, Any]) -> dict[str, Digests]:
    if said["problem"]:
        raise StorageError(
            "the remote failed",
            why=SECRETS.sub("//", said["problem"]),
            remedy="is it reachable, and may you write to it? What arrived stays; run this again",
        )
    return {md5: Digests(**found) for md5, found in said["there"].items()}


def main() -> None:
    """What is wanted on standard input, what came of it on standard output; JSON both."""
    wanted: dict[str, str] = json.load(sys.stdin)
    verb = sys.argv[1]
    print(json.dumps(_fetch(wanted) if verb == "fetch" else _look(wanted, add=verb == "put")))


def _fetch(wanted: Mapping[str, str]) -> dict[str, Any]:
    """md5 by path."""
    from dvc.repo import Repo
    from dvc_data.hashfile.hash_info import HashInfo

    missing, damaged, problem = [], [], ""
    with Repo() as repo:
        place = {md5: Path(repo.cache.local.oid_to_path(md5)) for md5 in wanted.values()}
        absent = [HashInfo("md5", md5) for md5, path in place.items() if not path.exists()]
        try:
            if absent:
                repo.cloud.pull(absent)
        except Exception as error:  # as many kinds as there are stores
            problem = f"{type(error).__name__}: {error}"[:500]
    for path, md5 in wanted.items():
        try:
            content = place[md5].read_bytes()
        except OSError:
            missing.append(f"{path} (md5 {md5})")
            continue
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
            damaged.append(f"{path} ({place[md5]})")
            continue
        write_atomically(Path(path), content)
    return {"missing": missing, "damaged": damaged, "problem": problem}


def _look(wanted: Mapping[str, str], *, add: bool) -> dict[str, Any]:
    """What the remote has under each md5; with `add`, after putting there the file named beside it."""
    from dvc.repo import Repo
    from dvc_objects.fs.local import LocalFileSystem

    there, problem = {}, ""
    with Repo() as repo:
        try:
            store = repo.cloud.get_remote_odb(None, "push" if add else "fetch")
            local: Any = LocalFileSystem
            for md5, path in wanted.items():
                found = _stored(store, md5)
                if add and (found is None or found.md5 != md5):
                    store.add(path, local(), md5, check_exists=False)
                    found = _stored(store, md5)
                if found is not None:
                    there[md5] = asdict(found)
        except Exception as error:  # as many kinds as there are stores
            problem = f"{type(error).__name__}: {error}"[:500]
    return {"there": there, "problem": problem}


def _stored(store: Any, md5: str) -> Digests | None:
    try:
        with store.fs.open(store.oid_to_path(md5), "rb") as file:
            return _digests(file)
    except FileNotFoundError:
        return None


if __name__ == "__main__":
    main()
