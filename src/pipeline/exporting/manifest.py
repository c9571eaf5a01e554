"""The manifest: says what the model's files are, and proves that the ones in a folder are those.

Needs neither torch nor ONNX, so that a service can check a model before anything opens it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mainline.errors import IntegrityError
from mainline.records import Features, Manifest, Metrics, Training, Vocabulary
from mainline.schema import FeatureTable

REMEDY = "do not load it; bring it with `dvc pull --force train export`, or make it anew with `make run`"
BESIDE = {"manifest.json", ".gitignore"}  # what else may lie in the folder; DVC writes the second
CODE = (  # the files that define the network, its encoding and its conversion
    "src/usecase/model.py",
    "src/usecase/params.py",
    "src/usecase/schema.py",
    "src/pipeline/exporting/onnx_graph.py",
    "src/pipeline/training/predictor.py",
)


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def build(
    table: FeatureTable,
    vocabularies: Mapping[str, Sequence[str]],
    output: str,
    files: Sequence[Path],
    *,
    features: Features,
    training: Training,
    metrics: Metrics,
) -> Manifest:
    """The record of these `files`, which lie in one folder. Reads them, and the code."""
    windows = {"train": features.train, "validation": features.validation, "test": features.test}
    return Manifest(
        task=table.task,
        inputs=[_input(asdict(column)) for column in table.features],
        outputs=[output],
        classes=list(table.classes),
        threshold=metrics.threshold,
        vocabularies={name: _vocabulary(values) for name, values in vocabularies.items()},
        windows={name: [split.first_month, split.last_month] for name, split in windows.items()},
        device_class=training.device_class,
        files={path.name: file_sha256(path) for path in sorted(files)},
        code={path: file_sha256(Path(path)) for path in CODE},
    )


def _input(column: dict[str, Any]) -> dict[str, Any]:
    """A schema column as JSON; `onnx` is the type that the graph takes."""
    kind = "string" if column["dtype"] == "string" else "float"
    return {**column, "values": list(column["values"]), "onnx": kind}


def _vocabulary(values: Sequence[str]) -> Vocabulary:
    text = json.dumps(list(values), ensure_ascii=True)
    return Vocabulary(size=len(values), sha256=hashlib.sha256(text.encode()).hexdigest())


def verify(manifest: Manifest, folder: Path) -> None:
    """Raises IntegrityError when a file is changed, missing, extra, or in a format that can hold code."""
    if not manifest.files:
        raise IntegrityError(f"the manifest of {folder} names no files", remedy=REMEDY)
    problems = [problem for name in sorted(manifest.files) if (problem := _problem(manifest, folder, name))]
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    extra = sorted(present - set(manifest.files) - BESIDE)
    problems += [f"{name} is not in the manifest" for name in extra]
    if problems:
        raise IntegrityError(
            f"{folder} does not hold the model of its manifest", why="; ".join(problems), remedy=REMEDY
        )


def _problem(manifest: Manifest, folder: Path, name: str) -> str:
    path = folder / name
    if path.name != name or name in BESIDE:
        return f"{name!r} is not a name of a file in this folder"
    if path.is_symlink() and not path.exists():
        return f"{name} is a broken link"
    if not path.is_file():
        return f"{name} is missing"
    if file_sha256(path) != manifest.files[name]:
        return f"{name} has changed"
    return "" if _harmless(path) else f"{name} is not safetensors, ONNX or Markdown"


def _harmless(path: Path) -> bool:
    """Whether the content is what the name says; a pickle is none of the three."""
    with path.open("rb") as file:
        start = file.read(9)
    match path.suffix:
        case ".safetensors":
            return start[8:9] == b"{"  # eight bytes of length, then a JSON header
        case ".onnx":
            return start[:1] == b"\x08"  # the first field of the protobuf message, its version
        case ".md":
            return start[:1] == b"#"
        case _:
            return False
