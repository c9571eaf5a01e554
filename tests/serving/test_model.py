"""The model: opened only when it is the manifest's; its answers are the network's; what is odd is counted."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mainline.errors import IntegrityError, RecordError
from mainline.schema import Task
from pipeline.training.predictor import predict
from serving.model import Model
from tests.pipeline.test_export_graph import rows
from tests.serving import toys

ROW: dict[str, Any] = {"key": "k", "time": None, "c": "a", "x": 0.5, "d": "b", "y": 3}


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    toys.folder("binary", tmp_path)
    return tmp_path


def _open(root: Path, task: Task = "binary") -> Model:
    return Model(root, toys.table(task))


def _ask(model: Model, *given: dict[str, Any]) -> Any:
    return model.predict(toys.asked(model.table, given))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_answers_are_those_of_the_network(task: Task, tmp_path: Path) -> None:
    predictor = toys.folder(task, tmp_path)
    frame = rows(predictor, 60)
    expected = predict(predictor, frame)
    told, _ = _ask(_open(tmp_path, task), *frame.to_dicts())
    match task:
        case "binary":
            given = np.array([one["probability"] for one in told])
            assert [one["decision"] for one in told] == (given >= toys.threshold(predictor)).tolist()
            assert 0 < sum(one["decision"] for one in told) < 60
        case "multiclass":
            given = np.array([list(one["probabilities"].values()) for one in told])
            assert list(told[0]["probabilities"]) == ["one", "two", "three"]
            best = [max(one["probabilities"], key=one["probabilities"].get) for one in told]
            assert [one["decision"] for one in told] == best
        case _:
            given = np.array([one["value"] for one in told])
    np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-5)


def test_what_is_odd_is_counted_by_column(binary: Path) -> None:
    model = _open(binary)
    odd = {**ROW, "c": "never seen", "x": None, "d": None, "y": -5}
    _, found = _ask(model, ROW, odd, {**odd, "x": 7.0})
    assert (found.null, found.unknown, found.out_of_range) == ({"x": 1, "d": 2}, {"c": 2}, {"y": 2, "x": 1})
    _, found = _ask(model, ROW)
    assert (found.null, found.unknown, found.out_of_range) == ({}, {}, {})


def test_an_unknown_category_is_answered_as_a_missing_one(binary: Path) -> None:
    told, _ = _ask(_open(binary), *({**ROW, "c": value} for value in ("never seen", None, "", "a")))
    assert told[0] == told[1] == told[2] != told[3]


@pytest.mark.parametrize("value", [1e308, -1e308, 2**63 - 1, -(2**63)])
def test_a_huge_number_is_answered_as_the_largest(binary: Path, value: float) -> None:
    told, found = _ask(_open(binary), {**ROW, "x": value})
    assert 0 <= told[0]["probability"] <= 1 and found.out_of_range == {"x": 1}


def _pickled(models: Path) -> None:
    (models / "model.onnx").write_bytes(pickle.dumps({"a": 1}))


def _changed(models: Path) -> None:
    content = bytearray((models / "model.onnx").read_bytes())
    content[-1] ^= 1
    (models / "model.onnx").write_bytes(content)


def _extra(models: Path) -> None:
    (models / "extra.py").write_text("import os")


def _gone(models: Path) -> None:
    (models / "model.onnx").unlink()


@pytest.mark.parametrize("spoil", [_pickled, _changed, _extra, _gone])
def test_what_is_not_the_manifests_is_not_opened(binary: Path, spoil: Any) -> None:
    spoil(binary / "models")
    with pytest.raises(IntegrityError):
        _open(binary)


def test_a_vocabulary_of_another_model_is_refused(binary: Path) -> None:
    content = json.loads((binary / "bundle.json").read_text())
    content["vocabularies"]["c"].append("smuggled")
    (binary / "bundle.json").write_text(json.dumps(content))
    with pytest.raises(IntegrityError, match="vocabulary of c"):
        _open(binary)


def test_a_model_for_other_columns_is_refused(binary: Path) -> None:
    with pytest.raises(IntegrityError, match="other columns"):
        Model(binary, toys.table("regression"))


def test_without_a_manifest_nothing_is_opened(binary: Path) -> None:
    (binary / "models/manifest.json").unlink()
    with pytest.raises(RecordError):
        _open(binary)
