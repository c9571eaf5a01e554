"""The model in production has the schema of its manifest, whatever the code at hand declares by now."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline import drift
from mainline.errors import RecordError
from mainline.profile import Profile
from mainline.records import Figure, Manifest, Metrics
from mainline.schema import Column, FeatureTable, Task
from monitoring import check, featurecode
from monitoring.logs import Reader
from monitoring.reference import Reference
from tests.keys import named
from tests.monitoring import toys
from tests.serving.toys import table
from usecase.schema import FEATURES

# What any task answers.
SCORE = [1 / len(FEATURES.classes)] * len(FEATURES.classes) if FEATURES.task == "multiclass" else 0.5


def written(folder: Path, declared: FeatureTable, commit: str = "0" * 40) -> Path:
    """As `mainline monitor` leaves it."""
    folder.mkdir(exist_ok=True)
    record = drift.Reference(
        model="toy", version="v1.0.0", commit=commit, promoted=None, windows={}, rows=9,
        figures={"log_loss": Figure(value=0.5, low=0.4, high=0.6)},
    )  # fmt: skip
    (folder / "reference.json").write_text(record.model_dump_json())
    Metrics(
        task=declared.task, rows=9, blocks=2, resamples=100, confidence=0.9, parameters=1, model_bytes=1,
        threshold=None, figures=record.figures, baselines={}, differences={}, slices=[], worst_slice=None,
        importance={},
    ).write(folder / "metrics.json")  # fmt: skip
    Profile(tables={}).write(folder / "profile.json")
    manifest(declared).write(folder / "manifest.json")
    return folder


def manifest(declared: FeatureTable) -> Manifest:
    return Manifest(
        task=declared.task, outputs=["score"], classes=list(declared.classes), threshold=None,
        vocabularies={},
        inputs=[asdict(one) | {"values": list(one.values), "onnx": "float"} for one in declared.features],
        windows={}, device_class="cpu", files={}, code={},
    )  # fmt: skip


def changed(declared: FeatureTable, **columns: Any) -> FeatureTable:
    """With a feature more, without the first one, and with the types that are given."""
    retyped = [replace(one, dtype=columns.get(one.name, one.dtype)) for one in declared.features[1:]]
    return replace(declared, features=(*retyped, Column("new", "float64", "a feature more")))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_schema_is_that_of_production(task: Task, tmp_path: Path) -> None:
    declared = table(task)
    ahead = changed(declared, y="float64")
    if task == "multiclass":
        ahead = replace(ahead, classes=("four", *declared.classes))
    found = Reference.read(written(tmp_path, declared), ahead)
    assert found.table == declared
    assert list(found.columns) == ["c", "x", "d", "y"]
    assert found.alike == frozenset({"x", "d"}), "what both have, of the same type"
    frame = toys.rows(task, days=2)
    reader = Reader(found.table, "toy", "v1.0.0")
    rows = list(reader.batches(str(toys.log(frame, tmp_path / "log.jsonl", task))))
    assert (sum(one.height for one in rows), reader.found.malformed.lines) == (80, 0)


def test_a_feature_that_was_merged_and_not_released_yet(tmp_path: Path) -> None:
    """Production's lines have one feature less than the code at hand."""
    released = replace(FEATURES, features=FEATURES.features[1:])
    written(tmp_path / "reference", released)
    features = {one.name: None for one in released.features}
    lines = [
        json.dumps(
            {
                "at": f"2013-11-{day:02}T12:00:00+00:00", "model": "toy", "version": "v1.0.0", "score": SCORE,
                "key": named(f"{day}"), "time": f"2013-11-{day:02}T10:00:00", "features": features,
            }
        )
        for day in range(1, 11)
    ]  # fmt: skip
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    place, out = ("--log", str(tmp_path / "log.jsonl"), "--features", "none"), tmp_path / "drift.json"
    flags = ("--reference", str(tmp_path / "reference"), "--until", "2013-11-10", "--out", str(out))
    assert check.main([*flags, *place]) == 0
    found = drift.Drift.read(out)
    assert (found.recent[-1].rows, found.malformed.lines) == (10, 0)
    assert [one.name for one in found.recent[-1].columns] == list(features)


def test_a_manifest_of_no_columns_is_an_error(tmp_path: Path) -> None:
    written(tmp_path, table("binary"))
    content = json.loads((tmp_path / "manifest.json").read_text())
    for wrong in ({"name": "x"}, {"name": "x", "dtype": "complex", "description": ""}):
        (tmp_path / "manifest.json").write_text(json.dumps(content | {"inputs": [wrong]}))
        with pytest.raises(RecordError, match="inputs"):
            Reference.read(tmp_path, table("binary"))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A commit whose lock says what its features were computed by."""
    root = tmp_path / "repository"
    (root / "src/usecase").mkdir(parents=True)
    deps = []
    for name in ("features.py", "schema.py"):
        (root / "src/usecase" / name).write_text(f"# {name}\n")
        deps.append({"path": f"src/usecase/{name}", "md5": featurecode._md5(root / "src/usecase" / name)})
    deps.append({"path": "src/pipeline/featurize.py", "md5": "0" * 32})
    params = {"featurize": {"lag": 3}, "data": {"as_of": "2013-10"}}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    stage = {"deps": deps, "params": {"params.yaml": params}}
    (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"featurize": stage}}))
    for command in (("init", "-q"), ("add", "."), ("commit", "-qm", "one")):
        git(root, *command)
    return root


def git(root: Path, *arguments: str) -> str:
    named = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *named, *arguments], cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_feature_code_that_changed_is_named(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    assert featurecode.changed(commit, repository) == []
    (repository / "src/usecase/schema.py").write_text("# of another wording\n")
    (repository / "params.yaml").write_text(
        yaml.safe_dump({"featurize": {"lag": 3}, "data": {"as_of": "2013-11"}})
    )
    assert featurecode.changed(commit, repository) == []
    (repository / "src/usecase/features.py").write_text("# another\n")
    assert featurecode.changed(commit, repository) == ["src/usecase/features.py"]
    (repository / "params.yaml").write_text(yaml.safe_dump({"featurize": {"lag": 4}}))
    assert featurecode.changed(commit, repository) == ["src/usecase/features.py", "params.yaml: featurize"]


@pytest.mark.parametrize("commit", ["0" * 40, "", "--help", "HEAD"])
def test_a_commit_that_is_none_says_nothing(commit: str, repository: Path) -> None:
    (repository / "src/usecase/features.py").write_text("# another\n")
    assert featurecode.changed(commit, repository) == []


def test_changed_feature_code_has_no_skew(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    monkeypatch.chdir(repository)
    folder = written(tmp_path / "reference", table("binary"), commit)
    assert Reference.read(folder, table("binary")).alike == frozenset("cxdy")
    assert not capsys.readouterr().err
    (repository / "src/usecase/features.py").write_text("# another\n")
    assert Reference.read(folder, table("binary")).alike == frozenset()
    assert "src/usecase/features.py" in capsys.readouterr().err
