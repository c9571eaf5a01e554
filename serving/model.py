"""The ONNX model: checked against its manifest before anything opens it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from msgspec.structs import astuple
from numpy.typing import NDArray

from mainline.errors import IntegrityError
from mainline.records import Manifest
from mainline.schema import FeatureTable
from pipeline.exporting.manifest import verify
from serving import bundle as bundles
from serving.bundle import Bundle
from serving.rows import TEXTS, Row

LARGEST = 3e38  # of float32, in which the graph computes; beyond it a number would be infinite


class NoAnswerError(Exception):
    """The model gives a row no finite answer; `row` is its index."""

    def __init__(self, row: int) -> None:
        super().__init__(f"rows.{row}: the model gives no finite answer")
        self.row = row


@dataclass(frozen=True, slots=True)
class Oddities:
    """How many values of a request were not what the model knows, by column."""

    null: dict[str, int]
    unknown: dict[str, int]
    out_of_range: dict[str, int]


class Model:
    """A verified model folder, opened. Raises IntegrityError or RecordError."""

    def __init__(self, root: Path, table: FeatureTable) -> None:
        folder = root / "models"
        self.manifest = Manifest.read(root / Manifest.location)
        verify(self.manifest, folder)
        self.bundle = Bundle.read(root / bundles.NAME)
        bundles.check(self.bundle, self.manifest)
        _same_columns(self.manifest, table)
        self.table = table
        self._session = _open(folder / "model.onnx")
        self._texts = tuple(column.name for column in table.categorical)
        self._numbers = tuple(column.name for column in table.numeric)
        self._known = {name: frozenset(values) for name, values in self.bundle.vocabularies.items()}
        limits = [(column.minimum, column.maximum) for column in table.numeric]
        self._low = np.array([[-np.inf if low is None else low] for low, _ in limits]).reshape(-1, 1)
        self._high = np.array([[np.inf if high is None else high] for _, high in limits]).reshape(-1, 1)

    def predict(self, rows: Sequence[Row]) -> tuple[list[dict[str, Any]], Oddities]:
        """Predictions without their keys, in the order of the rows. Raises NoAnswerError."""
        names, values = self._numbers, [astuple(row) for row in rows]
        texts = {name: [row[place] or "" for row in values] for place, name in enumerate(self._texts, TEXTS)}
        # By row: a pass over all rows for each column would fetch them from memory anew. None: NaN.
        after = (row[TEXTS + len(texts) :] for row in values)
        flat = np.fromiter(chain.from_iterable(after), np.float64, len(rows) * len(names))
        numbers = flat.reshape(len(rows), len(names)).T
        feeds: dict[str, NDArray[Any]] = {name: np.array(t, dtype=object) for name, t in texts.items()}
        feeds.update(zip(names, np.clip(numbers, -LARGEST, LARGEST).astype(np.float32), strict=True))
        output = self._session.run(None, feeds)[0]
        if not np.isfinite(output).all():
            raise NoAnswerError(int((~np.isfinite(output)).reshape(len(rows), -1).any(1).argmax()))
        return self._told(output), self._odd(texts, numbers)

    def _told(self, output: NDArray[np.float32]) -> list[dict[str, Any]]:
        scores = output.tolist()
        match self.manifest.task:
            case "binary":
                threshold = self.manifest.threshold
                return [{"probability": p, "decision": p >= threshold} for p in scores]
            case "multiclass":
                classes = self.manifest.classes
                best = output.argmax(1).tolist()
                return [
                    {"probabilities": dict(zip(classes, p, strict=True)), "decision": classes[k]}
                    for p, k in zip(scores, best, strict=True)
                ]
            case _:
                return [{"value": value} for value in scores]

    def _odd(self, texts: dict[str, list[str]], numbers: NDArray[np.float64]) -> Oddities:
        missing = np.isnan(numbers)
        null = self._by_name(missing)
        beyond = self._by_name((numbers < self._low) | (numbers > self._high))
        unknown = {}
        for name, values in texts.items():
            if empty := values.count(""):
                null[name] = empty
            known = self._known[name]
            if strange := sum(value not in known for value in values) - empty:
                unknown[name] = strange
        return Oddities(null, unknown, beyond)

    def _by_name(self, flags: NDArray[np.bool_]) -> dict[str, int]:
        if not flags.any():
            return {}
        return {name: n for name, n in zip(self._numbers, flags.sum(1).tolist(), strict=True) if n}


def _open(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a row takes microseconds
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])


def _same_columns(manifest: Manifest, table: FeatureTable) -> None:
    """Raises IntegrityError when code and model come from different schemas."""
    mine = [(column.name, column.dtype) for column in table.features]
    its = [(column["name"], column["dtype"]) for column in manifest.inputs]
    if mine != its or manifest.task != table.task:
        odd = sorted({name for name, _ in {*mine} ^ {*its}})
        raise IntegrityError(
            "the model was made for other columns than usecase/schema.py declares",
            why=f"they differ in {', '.join(odd) or 'their order or the task'}",
            remedy="make the model anew: make run",
        )
