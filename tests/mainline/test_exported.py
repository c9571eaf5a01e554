"""A model as dvc.lock tells of it: only stages that dvc.yaml has, and one md5 a path."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import yaml

from mainline.errors import IntegrityError, StorageError
from mainline.exported import LOCK, MANIFEST, METRICS, MODEL, PIPELINE, TEST, Exported, read_exported
from tests.mainline.test_gates import APART, metrics

FILES = {MANIFEST: APART.model_dump_json().encode(), METRICS: metrics().model_dump_json().encode()}
MINE, OTHER = "a" * 32, "b" * 32


def item(path: str, md5: str = MINE, **changes: Any) -> dict[str, Any]:
    return {"path": path, "md5": md5, "size": 5, **changes}


def records() -> list[dict[str, Any]]:
    return [item(path, hashlib.md5(content).hexdigest()) for path, content in FILES.items()]  # noqa: S324


def export(**changes: Any) -> dict[str, Any]:
    return {"cmd": "x", "deps": [item(TEST)], "outs": [item(MODEL), *records()], **changes}


def read(lock: dict[str, Any], stages: Any = ("export",)) -> Exported | None:
    pipeline = {"stages": {name: {"cmd": "x"} for name in stages}}
    files = FILES | {
        LOCK: yaml.safe_dump({"stages": lock}).encode(),
        PIPELINE: yaml.safe_dump(pipeline).encode(),
    }
    return read_exported(files.get, "here")


def test_the_lock_names_model_rows_and_records() -> None:
    found = read({"export": export()})
    assert found and (found.model_md5, found.model_bytes, found.test_md5) == (MINE, 5, MINE)
    assert found.manifest == APART and found.metrics == metrics() and not found.problem


@pytest.mark.parametrize("last", [False, True])
def test_a_stage_that_is_no_longer_in_dvc_yaml_says_nothing(last: bool) -> None:
    """dvc.lock keeps them; after a merge they may name rows and models of long ago."""
    stages = {"export": export(), "old": {"deps": [item(TEST, OTHER)], "outs": [item(MODEL, OTHER, size=9)]}}
    found = read(stages if last else dict(reversed(stages.items())))
    assert found and (found.model_md5, found.model_bytes, found.test_md5) == (MINE, 5, MINE)
    assert read({"old": export()}) is None


@pytest.mark.parametrize(("kind", "path"), [("deps", TEST), ("outs", MODEL), ("deps", MODEL), ("outs", TEST)])
def test_two_md5s_of_one_path_are_refused(kind: str, path: str) -> None:
    other = {"other": {kind: [item(path, OTHER)]}, "export": export()}
    with pytest.raises(IntegrityError, match=f"names two files as {path}"):
        read(other, ("export", "other"))
    agreeing = {"other": {kind: [item(path)]}, "export": export()}
    assert read(agreeing, ("export", "other"))


def test_stages_of_a_foreach_are_those_of_dvc_yaml() -> None:
    assert read({"export@one": export()})


def test_code_that_two_stages_saw_in_two_states_is_the_lock_checks_matter() -> None:
    deps = {
        "other": {"deps": [item("src/a.py", OTHER)]},
        "export": export(deps=[item(TEST), item("src/a.py")]),
    }
    assert read(deps, ("export", "other"))


@pytest.mark.parametrize("pipeline", [None, b"", b"[]", b"stages: []", b"a: [", b"stages: 1"])
def test_without_a_dvc_yaml_a_lock_says_nothing_that_can_be_trusted(pipeline: bytes | None) -> None:
    lock = yaml.safe_dump({"stages": {"export": export()}}).encode()
    files = FILES | {LOCK: lock} | ({} if pipeline is None else {PIPELINE: pipeline})
    with pytest.raises(StorageError, match=r"dvc\.yaml of here cannot be read"):
        read_exported(files.get, "here")


@pytest.mark.parametrize("size", [None, "5", -1, True])
def test_a_size_that_is_none_is_not_known(size: object) -> None:
    found = read({"export": export(outs=[item(MODEL, size=size), *records()])})
    assert found and found.model_bytes is None


@pytest.mark.parametrize("md5", [None, "", "x", f"{MINE}.dir", ["a"]])
def test_a_model_without_an_md5_is_refused(md5: Any) -> None:
    """Two locks without any would be the same model."""
    with pytest.raises(StorageError, match=f"has no md5 of {MODEL}"):
        read({"export": export(outs=[item(MODEL, md5), *records()])})
