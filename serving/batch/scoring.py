"""Whole columns through the served model: what it says of a table equals what it says of requests."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mainline.errors import DataError
from mainline.records import Manifest
from mainline.schema import FeatureTable
from pipeline.frames import DTYPES
from pipeline.text import inert
from serving.batch import columns
from serving.model import LARGEST, Model

SLICE = 4096  # rows at once; 1,000 to 8,000 are alike, larger ones leave the processor's cache


class Scorer(Model):
    """A verified model folder that scores frames. Raises IntegrityError or RecordError, as `Model`.

    `sha256`: of the manifest, which names the model's files and its threshold. The last digit of a score may
    differ from a request with a few rows only: matrix products of few rows are summed in another order.
    """

    def __init__(self, root: Path, table: FeatureTable, threads: int = 0) -> None:
        super().__init__(root, table)
        self.sha256 = hashlib.sha256((root / Manifest.location).read_bytes()).hexdigest()
        self.odd: dict[str, Counter[str]] = {name: Counter() for name in ("null", "unknown", "out_of_range")}
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1)

    def score(self, frame: pl.DataFrame) -> pl.DataFrame:
        """`key`, `time`, `score` and, unless the task is regression, `decision`; model and version.

        `score` is float32: P(1), the value, or the list of class probabilities in the manifest's order.
        Raises DataError for a row to which the model has no finite answer.
        """
        feeds = self._feeds(frame)
        starts = range(0, frame.height, SLICE)
        parts = list(self._pool.map(lambda at: self._run(feeds, at), starts))
        output = np.concatenate(parts) if parts else self._run(feeds, 0)
        bad = ~np.isfinite(output).reshape(frame.height, -1).all(1)
        if bad.any():
            key = frame[self.table.key.name][int(bad.argmax())]
            raise DataError(
                f"the model has no finite answer to {int(bad.sum()):,} rows",
                why=f"the first is {inert(str(key))}",
                remedy="look at its features; the service refuses it with 422",
            )
        self._count(frame)
        told = {"key": frame[self.table.key.name], "time": frame[self.table.time.name]}
        return pl.DataFrame(told | self._columns(output)).with_columns(
            model=pl.lit(self.bundle.model), version=pl.lit(self.bundle.release)
        )

    def nothing(self) -> pl.DataFrame:
        """The columns of `score`, no rows."""
        schema = {name: DTYPES[column.dtype] for name, column in columns.wanted(self.table).items()}
        return self.score(pl.DataFrame(schema=schema))

    def _feeds(self, frame: pl.DataFrame) -> dict[str, NDArray[Any]]:
        feeds: dict[str, NDArray[Any]] = {
            name: frame[name].fill_null("").to_numpy().astype(object) for name in self._texts
        }
        for name in self._numbers:
            numbers = frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
            feeds[name] = np.clip(numbers, -LARGEST, LARGEST).astype(np.float32)
        return feeds

    def _run(self, feeds: dict[str, NDArray[Any]], at: int) -> NDArray[np.float32]:
        part = {name: values[at : at + SLICE] for name, values in feeds.items()}
        output: NDArray[np.float32] = self._session.run(None, part)[0]
        return output

    def _columns(self, output: NDArray[np.float32]) -> dict[str, pl.Series]:
        match self.manifest.task:
            case "binary":
                threshold = np.float64(self.manifest.threshold or 0.0)
                reached = output.astype(np.float64) >= threshold  # as Python compares
                return {"score": pl.Series(output), "decision": pl.Series(reached)}
            case "multiclass":
                best = output.argmax(1)
                score = pl.Series(output).cast(pl.List(pl.Float32))
                decision = pl.Series(self.manifest.classes, dtype=pl.String).gather(best)
                return {"score": score, "decision": decision}
            case _:
                return {"score": pl.Series(output)}

    def _count(self, frame: pl.DataFrame) -> None:
        for name in self._texts:
            texts = frame[name].fill_null("")
            empty = int((texts == "").sum())
            known = pl.Series(sorted(self._known[name]), dtype=pl.String)
            self.odd["null"][name] += empty
            self.odd["unknown"][name] += (
                frame.height - empty - int(texts.filter(texts != "").is_in(known.implode()).sum())
            )
        for place, name in enumerate(self._numbers):
            numbers = frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
            beyond = (numbers < self._low[place, 0]) | (numbers > self._high[place, 0])
            self.odd["null"][name] += int(np.isnan(numbers).sum())
            self.odd["out_of_range"][name] += int(beyond.sum())

    def oddities(self) -> dict[str, dict[str, int]]:
        """Counted so far, by column, as the service's metrics have it."""
        return {kind: {name: n for name, n in found.items() if n} for kind, found in self.odd.items()}
