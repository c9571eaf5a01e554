"""What `objects` asks of DVC, in a process of its own: python -m mainline.store VERB, JSON in and out.

Most of its time goes into imports: it needs no records, and so no pydantic.
"""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mainline.objects import Digests, Sound, of_bytes

REPLACED = Path(".mainline/replaced")
AT_ONCE = 8  # objects that are read


def main() -> None:
    """What is wanted on standard input, what came of it on standard output; JSON both."""
    wanted: dict[str, str] = json.load(sys.stdin)
    verb = sys.argv[1]
    if verb == "read":
        said = _read(list(wanted))
    elif verb in ("bring", "restore"):
        said = _bring(list(wanted), fetch=verb == "bring")
    else:
        said = _fetch(wanted) if verb == "fetch" else _look(wanted, add=verb == "put")
    print(json.dumps(said))


def _fetch(wanted: Mapping[str, str]) -> dict[str, Any]:
    """md5 by path; where in the cache each lies then."""
    from dvc.repo import Repo
    from dvc_data.hashfile.hash_info import HashInfo

    there, missing, damaged, problem = {}, [], [], ""
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
        there[path] = str(place[md5].absolute())
    return {"there": there, "missing": missing, "damaged": damaged, "problem": problem}


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


def _bring(paths: list[str], *, fetch: bool) -> dict[str, Any]:
    """What `Brought` says. Ends with DVC's error when another process writes one of them."""
    from dvc.repo import Repo
    from dvc.rwlock import rwlock

    kept, problem = {}, ""
    with Repo() as repo:
        outs = {str(out): out for out in repo.index.outs if str(out) in paths}
        cold = [path for path, out in outs.items() if out.changed_cache()]
        try:
            if fetch and cold:
                repo.fetch(targets=cold)
        except Exception as error:  # as many kinds as there are stores
            problem = f"{type(error).__name__}: {error}"[:500]
        lacking = [path for path in cold if outs[path].changed_cache()]
        here = {path: out for path, out in outs.items() if path not in lacking}
        places, hardlink = [out.fs_path for out in here.values()], repo.config["core"].get("hardlink_lock")
        with rwlock(repo.tmp_dir, repo.fs, "mainline run", [], places, bool(hardlink)):
            strange = {path for path, out in here.items() if _strange(out)}
            brought = [path for path, out in here.items() if path not in strange or not _added(out)]
            kept = {path: _move_aside(Path(path)) for path in brought if path in strange}
            if brought:
                repo.checkout(targets=brought, force=True)
    return {"brought": brought, "lacking": lacking, "kept": kept, "problem": problem}


def _added(out: Any) -> bool:
    """Whether a `.dvc` file names it, so that no stage makes it."""
    return not hasattr(out.stage, "cmd_changed")


def _strange(out: Any) -> bool:
    """Whether something is here that DVC's cache does not have, so that nothing could bring it back."""
    from dvc_data.hashfile.build import build

    if not out.exists:
        return False
    found: Any  # a Tree where it is a folder
    _, _, found = build(out.cache, out.fs_path, out.fs, out.hash_name, ignore=out.dvcignore, dry_run=True)
    folder = found.hash_info.isdir
    md5s = [info.value for _, _, info in found] if folder else [found.hash_info.value]
    return not all(Path(out.cache.oid_to_path(md5)).is_file() for md5 in md5s)


def _move_aside(path: Path) -> str:
    place, number = REPLACED / path, 1
    while place.exists():
        place, number = REPLACED / f"{path}.{number}", number + 1
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(path, place)
    return place.as_posix()


def _read(md5s: list[str]) -> dict[str, Any]:
    """Of each output what `Sound` says."""
    from dvc.repo import Repo

    there, problem = {}, ""
    with Repo() as repo:
        try:
            store = repo.cloud.get_remote_odb(None, "fetch")
            there = {md5: asdict(_sound(store, md5)) for md5 in md5s}
        except Exception as error:  # as many kinds as there are stores
            problem = f"{type(error).__name__}: {error}"[:500]
    return {"there": there, "problem": problem}


def _sound(store: Any, md5: str) -> Sound:
    files = {md5: md5}  # md5 by name
    if md5.endswith(".dir"):
        from mainline.inventory import parse_listing

        raw = _content(store, md5)
        listing = parse_listing(md5, raw) if raw is not None else None
        if listing is None:
            return Sound(0, 0, [md5] if raw is None else [], [] if raw is None else [md5])
        files = listing
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = dict(zip(files, pool.map(functools.partial(_stored, store), files.values()), strict=True))
    return Sound(
        files=len(files),
        bytes=sum(one.bytes for one in found.values() if one),
        missing=[name for name, one in found.items() if one is None],
        damaged=[name for name, one in found.items() if one and one.md5 != files[name]],
    )


def _content(store: Any, md5: str) -> bytes | None:
    try:
        with store.fs.open(store.oid_to_path(md5), "rb") as file:
            return bytes(file.read())
    except FileNotFoundError:
        return None


def _stored(store: Any, md5: str) -> Digests | None:
    try:
        with store.fs.open(store.oid_to_path(md5), "rb") as file:
            return of_bytes(file)
    except FileNotFoundError:
        return None


if __name__ == "__main__":
    main()
