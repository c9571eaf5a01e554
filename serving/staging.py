"""The folder that is served: model, code, nothing else. Needs `onnx`: it is made where models are made."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import onnx

from mainline.errors import RecordError
from mainline.records import Manifest
from pipeline.exporting.manifest import verify
from serving import bundle
from serving.bundle import Bundle

# By package: what `serving.service` can import. A test compares it with the imports.
CODE = {
    "src/mainline": ("__init__", "archives", "errors", "records", "schema", "signing"),
    "src/pipeline": ("__init__",),
    "src/pipeline/exporting": ("__init__", "manifest"),
    "src/usecase": ("__init__", "schema"),
    "serving": (
        *("__init__", "bundle", "limits", "metrics", "model", "monitors", "otlp", "pages", "patch"),
        *("prediction_log", "rows", "run", "schemas", "service", "settings", "signature"),
    ),
}


def stage(root: Path, into: Path, model: str, release: str, provenance: dict[str, Any]) -> Bundle:
    """Verify `root`/models and copy what is served. Raises RecordError without a model, IntegrityError."""
    folder = root / "models"
    if not (root / Manifest.location).is_file():
        raise RecordError(
            "there is no model in models/",
            remedy="make one with `make run`, or get the committed one with `dvc pull models`",
        )
    manifest = Manifest.read(root / Manifest.location)
    verify(manifest, folder)
    for package, modules in CODE.items():
        target = into / package.removeprefix("src/")
        target.mkdir(parents=True, exist_ok=True)
        for module in modules:
            shutil.copyfile(root / package / f"{module}.py", target / f"{module}.py")
    (into / "models").mkdir()
    for name in (*manifest.files, Manifest.location.name):
        shutil.copyfile(folder / name, into / "models" / name)
    record = Bundle(
        model=model,
        release=release,
        vocabularies=vocabularies(folder / "model.onnx", set(manifest.vocabularies)),
        provenance=provenance,
    )
    bundle.check(record, manifest)
    record.write(into / bundle.NAME)
    return record


def vocabularies(path: Path, names: set[str]) -> dict[str, list[str]]:
    """The known values of each categorical feature, out of the graph, where "" stands for null."""
    found: dict[str, list[str]] = {}
    for node in onnx.load_model(path).graph.node:
        if node.op_type == "LabelEncoder" and node.input[0] in names:
            keys = next(a for a in node.attribute if a.name == "keys_strings")
            found[node.input[0]] = [key.decode() for key in keys.strings if key]
    return found
