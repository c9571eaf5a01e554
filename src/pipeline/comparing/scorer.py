"""A model file with its manifest, scoring rows of a table that may not be its own."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import polars as pl
from numpy.typing import NDArray

from mainline.errors import IntegrityError, RecordError
from mainline.records import Manifest
from mainline.review import Latency
from mainline.schema import FeatureTable
from pipeline.exporting.manifest import REMEDY
from pipeline.frames import DTYPES
from pipeline.text import inert

Array = NDArray[np.float64]

BATCH = 8192  # rows
WARM, ROUNDS = 30, 300  # single rows a model, before and while it is timed
TOLERANCE = 1e-3  # of float32 sums over classes


class UnreadableError(Exception):
    """These rows are not what the model takes, or what it says of them is no prediction."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """`session`: on one thread, so that figures and milliseconds depend on no core count."""

    manifest: Manifest
    session: onnxruntime.InferenceSession

    @classmethod
    def load(cls, model: Path, manifest: Path) -> Scorer:
        """Checked before it is opened. Raises IntegrityError when the file is not the manifest's."""
        record = Manifest.read(manifest)
        try:
            content = model.read_bytes()
        except OSError as error:
            raise IntegrityError(f"{model} cannot be read", why=str(error), remedy=REMEDY) from None
        if hashlib.sha256(content).hexdigest() != record.files.get(model.name):
            raise IntegrityError(f"{model} is not the file that {manifest} names", remedy=REMEDY)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # its words go into our error
        try:
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no public base
            raise IntegrityError(
                f"ONNX Runtime cannot open {model}", why=inert(str(error), 200), remedy=REMEDY
            ) from None
        return cls(record, session)

    def mismatch(self, frame: pl.DataFrame, table: FeatureTable) -> str:
        """Why rows of `table` are not what this model takes; empty when they are."""
        if self.manifest.task != table.task:
            return f"its task is {self.manifest.task}, that of the rows {table.task}"
        if tuple(self.manifest.classes) != table.classes:
            return (
                f"its classes are {_names(self.manifest.classes)}, those of the rows {_names(table.classes)}"
            )
        problems = [problem for one in self.manifest.inputs if (problem := _unlike(one, frame))]
        return "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")

    def feeds(self, frame: pl.DataFrame) -> dict[str, np.ndarray]:
        """The graph's inputs, by the names and types in the manifest."""
        found = {}
        for one in self.manifest.inputs:
            column = frame[one["name"]]
            if one["onnx"] == "string":
                found[one["name"]] = column.cast(pl.String).fill_null("").to_numpy()
            else:
                found[one["name"]] = column.cast(pl.Float32).fill_null(float("nan")).to_numpy()
        return found

    def predict(self, frame: pl.DataFrame) -> Array:
        """P(1) or the value [n], or class probabilities [n, classes]. Raises UnreadableError."""
        output = self.manifest.outputs[:1]
        try:
            parts = [self.session.run(output, self.feeds(part))[0] for part in frame.iter_slices(BATCH)]
            said = np.concatenate(parts).astype(np.float64)
        except Exception as error:  # onnxruntime's errors share no public base
            raise UnreadableError(f"it fails on these rows: {inert(str(error), 200)}") from None
        if problem := self._doubt(said, frame.height):
            raise UnreadableError(problem)
        return said

    def _doubt(self, said: Array, rows: int) -> str:
        """A score that is no probability could make any figure look good."""
        classes = (len(self.manifest.classes),) if self.manifest.task == "multiclass" else ()
        if said.shape != (rows, *classes):
            return f"its output has the shape {said.shape}, not {(rows, *classes)}"
        bad = ~np.isfinite(said).reshape(rows, -1).all(axis=1)
        if self.manifest.task != "regression":
            bad |= ((said < -TOLERANCE) | (said > 1 + TOLERANCE)).reshape(rows, -1).any(axis=1)
        if self.manifest.task == "multiclass":
            bad |= np.abs(said.sum(axis=1) - 1) > TOLERANCE
        kind = "finite numbers" if self.manifest.task == "regression" else "probabilities"
        return f"{int(bad.sum()):,} of its {rows:,} predictions are no {kind}" if bad.any() else ""


def _unlike(one: dict[str, object], frame: pl.DataFrame) -> str:
    """How an input of a manifest differs from the column of its name."""
    name, dtype = one.get("name"), one.get("dtype")
    if not isinstance(name, str) or dtype not in DTYPES or one.get("onnx") not in ("string", "float"):
        raise RecordError("an input in a manifest has no name or no known type", remedy=REMEDY)
    if name not in frame.columns:
        return f"{inert(name)} is missing"
    if frame.schema[name] != DTYPES[dtype]:
        return f"{inert(name)} is {frame.schema[name]}, not {DTYPES[dtype]}"
    return ""


def _names(classes: Sequence[str]) -> str:
    return inert(", ".join(classes) or "none")


def _singles(feeds: dict[str, np.ndarray], rows: int) -> list[dict[str, np.ndarray]]:
    """Of many rows at once, row by row: Polars takes a second for what it is asked so often."""
    return [{name: column[row : row + 1] for name, column in feeds.items()} for row in range(rows)]


def latencies(scorers: dict[str, Scorer], frame: pl.DataFrame) -> dict[str, Latency]:
    """Milliseconds of single rows, the models taking turns, so that a busy machine slows both alike."""
    rows = frame[np.linspace(0, frame.height - 1, WARM + ROUNDS).astype(int)]
    feeds = {name: _singles(scorer.feeds(rows), rows.height) for name, scorer in scorers.items()}
    taken: dict[str, list[float]] = {name: [] for name in scorers}
    for turn in range(rows.height):
        for name, scorer in scorers.items():
            started = time.perf_counter()
            scorer.session.run(scorer.manifest.outputs[:1], feeds[name][turn])
            taken[name].append((time.perf_counter() - started) * 1e3)
    return {
        name: Latency(
            median_ms=round(float(np.median(values[WARM:])), 4),
            p95_ms=round(float(np.quantile(values[WARM:], 0.95)), 4),
        )
        for name, values in taken.items()
    }
