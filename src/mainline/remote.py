"""What DVC says of the work tree, and what the remote has: a survey for `locks`, printed as JSON.

A process of its own (`python -m mainline.remote`), so that DVC's imports, settings, output and hanging
connections stay out of ours. It changes nothing: DVC's own status of a folder remote would hash every object
and delete the damaged ones, and its index of a remote may be older than the remote, so neither is used.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from mainline import policy
from mainline.leftover import leftover
from mainline.locks import Item, Stage, Survey
from mainline.review import Change, MissingObject

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc.repo import Repo

LONGEST = 40  # characters of a parameter's value that are told
ENTRIES = 8  # of a list, that are told
MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
CONFLICT = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)
SECRETS = re.compile(r"//[^/@\s]*@")
LISTINGS_AT_ONCE = 16


def survey(*, ask_remote: bool, seconds: float) -> Survey:
    """Of the repository in the current folder; the remote has so many seconds to answer."""
    from dvc.repo import Repo

    try:
        repo = Repo()
        stages = tuple(_stage(stage) for stage in repo.index.stages)
        forgotten = leftover(_read(Path("dvc.yaml")), _read(Path("dvc.lock")))
    except Exception as error:  # any tool's, while it reads the repository
        return Survey(problem=_unreadable(error))
    if not any(stage.deps or stage.outs for stage in stages):
        return Survey(problem="dvc.yaml has no stages")
    name = repo.config["core"].get("remote")
    if not ask_remote:
        return Survey(stages=stages, leftover=forgotten, listings=_cached_listings(repo))
    if name is None and any(out.remote is None for out in _outputs(repo)):
        return Survey(stages=stages, problem="no remote is configured: dvc remote add --default NAME URL")
    answers: list[Survey] = []

    def ask() -> None:
        try:
            answers.append(_with_remote(repo, stages, name).model_copy(update={"leftover": forgotten}))
        except Exception as error:  # as many kinds as there are stores
            problem = f"the remote {name or ''} failed: {_said(error)}"
            answers.append(Survey(stages=stages, remote=name, problem=problem))

    # The stores' clients retry for minutes and cannot be stopped: the thread is left behind.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    late = f"the remote {name or ''} did not answer within {seconds:g} s"
    return answers[0] if answers else Survey(stages=stages, remote=name, problem=late)


def _read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_bytes()) or {} if path.exists() else {}


def _stage(stage: Any) -> Stage:
    pipeline = hasattr(stage, "cmd_changed")
    deps: list[Item] = []
    params: dict[str, Any] = {}
    for dep in stage.deps if pipeline else []:
        status = {} if stage.frozen else dep.status()
        if dep.hash_name == "params":
            params.update({file: _leaves(dep, words) for file, words in status.items()})
        else:
            deps.append(Item(path=str(dep), md5=dep.hash_info.value, seen=status.get(str(dep), "")))
    return Stage(
        name=stage.addressing,
        frozen=stage.frozen or not pipeline,
        always=bool(pipeline and (stage.is_callback or stage.always_changed)),
        command_changed=bool(pipeline and stage.cmd_changed),
        deps=tuple(deps),
        outs=tuple(
            Item(
                path=str(out),
                md5=out.hash_info.value,
                # Of the work tree alone: DVC's `status` stops at what its cache lacks.
                seen=out.workspace_status().get(str(out), ""),
                cached=out.use_cache,
            )
            for out in stage.outs
        ),
        params=params,
    )


def _leaves(dep: Any, words: Any) -> Any:
    """DVC's words on parameters; where one is a whole section, on the keys inside it, with both values."""
    if not isinstance(words, dict):
        return words
    found: dict[str, str] = {}
    before, after = dep.hash_info.value or {}, dep.read_params()
    for name, word in words.items():
        if word != "modified":
            found[name] = word
            continue
        told = policy.differing({name: before[name]}, {name: after[name]})
        found |= {one.key: _told(one) for one in told} or {
            name: word
        }  # text like the other's, of another type
    return found


def _told(one: Change) -> str:
    """As DVC would say it of a key, with both values where there are two; of lists, what differs."""
    if one.before is None or one.after is None:
        return "new" if one.before is None else "deleted"
    before, after = json.loads(one.before), json.loads(one.after)
    if isinstance(before, list) and isinstance(after, list):
        told = [*_more("added", after, before), *_more("removed", before, after)]
        if told or sorted(one.before) == sorted(one.after):
            return f"another list: {'; '.join(told) or 'the order'}"
    pairs = zip(one.before, one.after, strict=False)
    same = next((at for at, (old, new) in enumerate(pairs) if old != new), 0)
    start = max(same - LONGEST // 2, 0)
    return f"{_cut(one.after, start)}, was {_cut(one.before, start)}"


def _more(word: str, these: list[Any], those: list[Any]) -> list[str]:
    """What only `these` has, in words; a requirement as it is, anything else as JSON."""
    more = [one if isinstance(one, str) else json.dumps(one) for one in these if one not in those]
    rest = [f"and {len(more) - ENTRIES} more"] if len(more) > ENTRIES else []
    return [f"{word} {', '.join([*(_cut(one, 0) for one in more[:ENTRIES]), *rest])}"] if more else []


def _cut(text: str, start: int) -> str:
    if len(text) <= LONGEST:
        return text
    end = start + LONGEST
    return f"{'…' if start else ''}{text[start:end]}{'…' if len(text) > end else ''}"


def _outputs(repo: Repo) -> Iterator[Output]:
    for stage in repo.index.stages:
        if not stage.is_repo_import:  # such data lies on another repository's remote
            yield from (out for out in stage.outs if out.use_cache and out.can_push and out.hash_info)


def _with_remote(repo: Repo, stages: tuple[Stage, ...], name: str | None) -> Survey:
    stores: dict[tuple[str | None, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    sizes: dict[str, int] = {}
    caches: dict[str, Any] = {}
    for out in _outputs(repo):
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


def _cached_listings(repo: Repo) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for out in _outputs(repo):
        path = Path(out.cache.oid_to_path(out.hash_info.value))
        if out.hash_info.isdir and path.is_file():
            listing = parse_listing(out.hash_info.value, path.read_bytes())
            found |= {out.hash_info.value: listing} if listing is not None else {}
    return found


def _unreadable(error: Exception) -> str:
    for path in (Path("dvc.lock"), Path("dvc.yaml"), Path("params.yaml")):
        if path.is_file() and CONFLICT.search(path.read_text(encoding="utf-8", errors="replace")):
            return f"{path} holds an unresolved merge conflict"
    return f"the pipeline cannot be read: {_said(error)}"


def _said(error: BaseException) -> str:
    """What the error and its causes say, without passwords."""
    said: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(said) < 4:
        text = " ".join(str(cause).split()) or type(cause).__name__
        said += [] if any(text in other for other in said) else [text]
        cause = cause.__cause__
    return SECRETS.sub("//", ": ".join(said))[:1000]


def main() -> None:
    """Print the survey; it alone stands on standard output."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--no-remote", action="store_true")
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    out, sys.stdout = sys.stdout, sys.stderr
    found = survey(ask_remote=not options.no_remote, seconds=options.seconds)
    print(found.model_dump_json(), file=out, flush=True)
    os._exit(0)  # without waiting for a remote that hangs


if __name__ == "__main__":
    main()
