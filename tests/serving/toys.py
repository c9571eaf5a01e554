"""Small served folders of each task, with an untrained network; and the real one."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mainline.records import Manifest, Vocabulary
from mainline.schema import ANSWERS, Column, FeatureTable, Task
from pipeline.exporting import onnx_graph
from pipeline.training.predictor import Predictor, predict
from serving import staging
from serving.bundle import Bundle
from serving.rows import Row, row_type
from tests.pipeline.test_export_graph import rows, tiny

TARGETS = {"binary": "int64", "multiclass": "string", "regression": "float64"}


def table(task: Task) -> FeatureTable:
    return FeatureTable(
        task=task,
        key=Column("key", "string", "row"),
        time=Column("time", "datetime", "when"),
        block=Column("day", "date", "day"),
        target=Column("target", TARGETS[task], "outcome", "EUR"),  # type: ignore[arg-type]
        excluded=Column("excluded", "string", "why not", nullable=True),
        features=(
            Column("c", "string", "a category", nullable=True),
            Column("x", "float64", "a number", "m", nullable=True, minimum=-1, maximum=1),
            Column("d", "string", "another category"),
            Column("y", "int64", "a whole number", minimum=0),
        ),
        classes=("one", "two", "three") if task == "multiclass" else (),
    )


def folder(task: Task, root: Path) -> Predictor:
    """`root` as staging leaves it, but for the code."""
    predictor, content = _exported(task)
    (root / "models").mkdir(parents=True)
    (root / "models/model.onnx").write_bytes(content)
    values = {name: list(known) for name, known in predictor.spec.vocabularies.items()}
    Manifest(
        task=task,
        inputs=[{**asdict(column), "values": list(column.values)} for column in table(task).features],
        outputs=[ANSWERS[task]],
        classes=list(predictor.spec.classes),
        threshold=threshold(predictor) if task == "binary" else None,
        vocabularies={name: Vocabulary(size=len(v), sha256=_digest(v)) for name, v in values.items()},
        windows={},
        device_class="cpu",
        files={"model.onnx": hashlib.sha256(content).hexdigest()},
        code={},
    ).write(root / Manifest.location)
    known = staging.vocabularies(root / "models/model.onnx", set(values))
    Bundle(model="toy", release="v1.0.0", vocabularies=known, provenance={}).write(root / "bundle.json")
    return predictor


@functools.cache
def _exported(task: Task) -> tuple[Predictor, bytes]:
    predictor = tiny(task)
    return predictor, onnx_graph.convert(predictor).SerializeToString(deterministic=True)


def asked(table: FeatureTable, rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Rows of a request, whatever their values are."""
    made = row_type(table)
    return [made(*map(row.get, made.__struct_encode_fields__)) for row in rows]


def threshold(predictor: Predictor) -> float:
    """Half of its test rows reach it."""
    return float(np.median(predict(predictor, rows(predictor, 60))))


def _digest(values: list[str]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()
