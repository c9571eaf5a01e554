"""An exported model as a commit or the work tree tells of it: its lock, and the records that the lock names.

The files are read through a function, so that a commit needs no checkout.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from mainline.errors import IntegrityError, StorageError
from mainline.records import Manifest, Metrics, Record

MODEL, TEST = "models/model.onnx", "data/features/test.parquet"
LOCK, PIPELINE = "dvc.lock", "dvc.yaml"
MANIFEST, METRICS = Manifest.location.as_posix(), Metrics.location.as_posix()

MD5 = re.compile(r"[0-9a-f]{32}")

Read = Callable[[str], bytes | None]  # of a path relative to the root; None when there is no such file
R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Exported:
    """An exported model as its lock and records tell it; none of its files need be here.

    `model_bytes`: as the lock says, None where it does not. `files`: the records' bytes by name. A record of
    another version is None, and `problem` says so.
    """

    model_md5: str
    model_bytes: int | None
    test_md5: str | None
    manifest: Manifest | None
    metrics: Metrics | None
    files: dict[str, bytes]
    problem: str


def read_exported(read: Read, where: str) -> Exported | None:
    """What a lock says of the stages in dvc.yaml, with the records it names, each checked against its md5.

    None when that is no model. Raises StorageError, IntegrityError.
    """
    outs, deps = _lock(read, where)
    model = outs.get(MODEL)
    if model is None:
        return None
    if not MD5.fullmatch(str(model.get("md5"))):
        raise StorageError(f"{LOCK} of {where} has no md5 of {MODEL}", remedy="make run")
    files = {path: _checked(read(path), path, outs, where) for path in (MANIFEST, METRICS)}
    manifest, first = _parsed(Manifest, files[MANIFEST], MANIFEST)
    metrics, second = _parsed(Metrics, files[METRICS], METRICS)
    return Exported(
        model_md5=str(model.get("md5")),
        model_bytes=size if type(size := model.get("size")) is int and size >= 0 else None,
        test_md5=({**deps, **outs}.get(TEST) or {}).get("md5"),
        manifest=manifest,
        metrics=metrics,
        files={Path(path).name: content for path, content in files.items()},
        problem=first or second,
    )


def _lock(read: Read, where: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Outputs and dependencies by path, of the stages in dvc.yaml; both empty without a lock.

    DVC leaves stages in the lock that dvc.yaml no longer has: what they name is of long ago.
    """
    stages = _stages(read(LOCK), LOCK, where)
    known = _stages(read(PIPELINE), PIPELINE, where) if stages else {}
    if stages and not known:
        raise _unreadable(PIPELINE, where, "it has no stages")
    live = [stage for name, stage in stages.items() if str(name).split("@")[0] in known]  # NAME@ITEM: foreach
    try:
        listed = {kind: [one for stage in live for one in stage.get(kind, [])] for kind in ("outs", "deps")}
        outs, deps = ({one["path"]: one for one in items} for items in listed.values())
        md5s = {(one["path"], str(one.get("md5"))) for items in listed.values() for one in items}
    except (AttributeError, TypeError, KeyError) as error:
        raise _unreadable(LOCK, where, str(error)) from None
    paths = [path for path, _ in md5s]
    if twice := [path for path in (MODEL, TEST, MANIFEST, METRICS) if paths.count(path) > 1]:
        raise IntegrityError(f"{LOCK} of {where} names two files as {', '.join(twice)}", remedy="make run")
    return outs, deps


def _stages(content: bytes | None, name: str, where: str) -> dict[str, Any]:
    """The stages of a lock or of dvc.yaml."""
    try:
        loaded = yaml.safe_load(content or b"")
        return {} if loaded is None else dict(loaded.get("stages", {}).items())
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise _unreadable(name, where, str(error)) from None


def _unreadable(name: str, where: str, why: str) -> StorageError:
    remedy = "after a merge conflict take either side, then run: make run"
    return StorageError(f"{name} of {where} cannot be read", why=why.partition("\n")[0], remedy=remedy)


def _checked(content: bytes | None, path: str, outs: dict[str, Any], where: str) -> bytes:
    if content is None or file_md5(content) != outs.get(path, {}).get("md5"):
        what = "is missing" if content is None else f"is not the file that its {LOCK} names"
        raise IntegrityError(
            f"{path} of {where} {what}", remedy="commit both together, as `mainline run` left them"
        )
    return content


def _parsed(kind: type[R], content: bytes, path: str) -> tuple[R | None, str]:
    try:
        return kind.model_validate_json(content), ""
    except ValidationError as error:
        first = error.errors()[0]
        return None, f"{path} is no record that this code knows ({first['loc']}: {first['msg']})"[:300]


def verify(path: Path, manifest: Manifest | None) -> None:
    """Raises IntegrityError unless `path` is the file of that name in the manifest."""
    if manifest is None or not path.is_file():
        raise IntegrityError(f"{path} has no manifest to be checked against", remedy="do not load it")
    if hashlib.sha256(path.read_bytes()).hexdigest() != manifest.files.get(path.name):
        raise IntegrityError(
            f"{path} is not the file that its manifest names",
            why="its sha256 differs",
            remedy="do not load it; which commit wrote both dvc.lock and the manifest?",
        )


def file_md5(content: bytes) -> str:
    """As DVC has it in its lock."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
