"""What of the lock's objects the remote has, and the cache; asked through DVC's own stores."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mainline.locks import Stage, Survey
from mainline.review import MissingObject

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc.repo import Repo

MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
LISTINGS_AT_ONCE = 16


def outputs(repo: Repo) -> Iterator[Output]:
    """What DVC keeps of this repository's own stages, and can push."""
    for stage in repo.index.stages:
        if not stage.is_repo_import:  # such data lies on another repository's remote
            yield from (out for out in stage.outs if out.use_cache and out.can_push and out.hash_info)


def with_remote(repo: Repo, stages: tuple[Stage, ...], name: str | None) -> Survey:
    """Which objects of the lock the remote lacks or has damaged. Raises what the store's client raises."""
    stores: dict[tuple[str | None, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    sizes: dict[str, int] = {}
    caches: dict[str, Any] = {}
    for out in outputs(repo):
        caches[out.hash_name] = out.cache
        stores[out.remote or name, out.hash_name][out.hash_info.value].append(str(out))
        if out.meta is not None and out.meta.size is not None:
            sizes[out.hash_info.value] = out.meta.size
    listings: dict[str, dict[str, str]] = {}
    missing: list[MissingObject] = []
    objects, absent = 0, ""
    for (remote, algorithm), paths in stores.items():
        store = repo.cloud.get_remote_odb(remote, "status", hash_name=algorithm)
        if store.fs.protocol == "local" and not store.fs.exists(repo.cloud.get_remote(remote).path):
            absent = f"the folder of remote {remote} does not exist"
        read, found = _listings(store, paths)
        wanted = _objects(paths, read)
        there = _existing(store, {md5 for md5 in wanted if MD5.fullmatch(md5)})
        listings |= read
        found += [
            MissingObject(path=path, md5=md5, file=file)
            for md5 in wanted.keys() - there
            for path, file in wanted[md5]
        ]
        if store.fs.protocol == "local":
            found += _damaged(store, paths, read, sizes, there)
        missing += [one.model_copy(update={"here": _here(caches[algorithm], one)}) for one in found]
        objects += len(wanted) + sum(md5.endswith(".dir") for md5 in paths)
    if absent and not all(item.here for item in missing):  # else it is a first push that makes it
        return Survey(stages=stages, remote=name, problem=absent)
    missing.sort(key=lambda item: (item.path, item.file))
    return Survey(stages=stages, listings=listings, remote=name, objects=objects, missing=tuple(missing))


def _listings(
    store: Any, paths: dict[str, list[str]]
) -> tuple[dict[str, dict[str, str]], list[MissingObject]]:
    """Of each directory, its listing as the store has it; those that it lacks or that are damaged."""

    def fetch(md5: str) -> bytes | None:
        if not MD5.fullmatch(md5):
            return None
        try:
            with store.fs.open(store.oid_to_path(md5), "rb") as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None

    folders = [md5 for md5 in paths if md5.endswith(".dir")]
    with ThreadPoolExecutor(LISTINGS_AT_ONCE) as pool:
        fetched = dict(zip(folders, pool.map(fetch, folders), strict=True))
    found: dict[str, dict[str, str]] = {}
    lacking: list[MissingObject] = []
    for md5, raw in fetched.items():
        listing = parse_listing(md5, raw) if raw is not None else None
        if listing is not None:
            found[md5] = listing
        else:
            state: Literal["missing", "damaged"] = "missing" if raw is None else "damaged"
            lacking += [MissingObject(path=path, md5=md5, state=state) for path in paths[md5]]
    return found, lacking


def _has(cache: Any, md5: str) -> bool:
    return MD5.fullmatch(md5) is not None and Path(cache.oid_to_path(md5)).is_file()


def _here(cache: Any, item: MissingObject) -> bool:
    """Whether the cache has it; of a directory whose listing the remote lacks, every file of it, too."""
    if item.state != "missing" or not _has(cache, item.md5):
        return False
    if not item.md5.endswith(".dir"):
        return True
    listing = parse_listing(item.md5, Path(cache.oid_to_path(item.md5)).read_bytes())
    return listing is not None and all(_has(cache, md5) for md5 in listing.values())


def _objects(
    paths: dict[str, list[str]], listings: dict[str, dict[str, str]]
) -> dict[str, list[tuple[str, str]]]:
    """Every place (output, and file inside it) of each object that is not a listing, by md5."""
    wanted: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for md5, outputs in paths.items():
        if not md5.endswith(".dir"):
            wanted[md5] += [(path, "") for path in outputs]
        for file, inner in listings.get(md5, {}).items():
            wanted[inner] += [(path, file) for path in outputs]
    return wanted


def _existing(store: Any, md5s: set[str]) -> set[str]:
    if not md5s:
        return set()
    if store.fs.protocol == "local":
        return {md5 for md5 in md5s if Path(store.oid_to_path(md5)).is_file()}
    return set(store.oids_exist(md5s))  # lists or asks, whichever is less


def _damaged(
    store: Any,
    paths: dict[str, list[str]],
    listings: dict[str, dict[str, str]],
    sizes: dict[str, int],
    there: set[str],
) -> Iterator[MissingObject]:
    """Of a folder remote, what is not as long as the lock says; of a directory it has the whole's size."""
    found = {md5: Path(store.oid_to_path(md5)).stat().st_size for md5 in there}
    for md5, outputs in paths.items():
        inner = list(listings.get(md5, {}).values()) if md5.endswith(".dir") else [md5]
        whole = md5 in listings or not md5.endswith(".dir")
        if not whole or md5 not in sizes or not there.issuperset(inner):
            continue
        if sum(found[one] for one in inner) != sizes[md5]:
            yield from (MissingObject(path=path, md5=md5, state="damaged") for path in outputs)


def parse_listing(md5: str, raw: bytes) -> dict[str, str] | None:
    """md5 by path from a directory's listing; None when the bytes are not the ones of that name."""
    if f"{hashlib.md5(raw, usedforsecurity=False).hexdigest()}.dir" != md5:
        return None
    try:
        return {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(raw)}
    except (ValueError, TypeError, KeyError):
        return None


def cached_listings(repo: Repo) -> dict[str, dict[str, str]]:
    """Of each directory that the cache has: see `parse_listing`."""
    found: dict[str, dict[str, str]] = {}
    for out in outputs(repo):
        path = Path(out.cache.oid_to_path(out.hash_info.value))
        if out.hash_info.isdir and path.is_file():
            listing = parse_listing(out.hash_info.value, path.read_bytes())
            found |= {out.hash_info.value: listing} if listing is not None else {}
    return found
