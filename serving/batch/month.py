"""The source that is a month of the use case: raw rows, features as in training. A partition is a day."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import polars as pl

from mainline.errors import DataError
from mainline.schema import FeatureTable
from mainline.settings import Month
from pipeline import featurize, ingest
from pipeline.params import load
from serving.batch import columns
from serving.batch.progress import say
from serving.batch.records import CHUNK, Partition
from usecase.schema import FEATURES


class MonthOf:
    """Rows of one month of `ingest.source`; those without an outcome too, since none has one yet."""

    def __init__(self, text: str, spool: Path, table: FeatureTable = FEATURES) -> None:
        """Raises ConfigError (no such month), SourceError or DataError."""
        month = Month.parse(text, name="--month")
        self.label = f"month {month}"
        say(f"reading all months up to {month}, and computing features: they look back; 10 s and more")
        with contextlib.redirect_stdout(sys.stderr):  # ours is for the summary
            frame = _features(month, spool / "raw")
        days = frame[table.time.name].cast(pl.Date)
        frame = frame.filter(days.dt.truncate("1mo") == month.first_day)
        if frame.is_empty():
            raise DataError(f"the source has no rows in {month}", remedy="nothing was scored")
        frame = columns.typed(self.label, frame, table)
        days = frame[table.time.name].cast(pl.Date)
        self._days = {str(day): frame.filter(days == day) for day in days.unique().sort()}

    def partitions(self) -> Iterator[Partition]:
        for day, frame in self._days.items():
            sha256, rows = columns.digest([frame])
            yield Partition(day, sha256, rows, partial(frame.iter_slices, CHUNK))

    def close(self) -> None:
        """Nothing is held open."""


def _features(month: Month, raw: Path) -> pl.DataFrame:
    """Of every raw month up to this one: features look back."""
    params = load()
    until = params.model_copy(update={"data": params.data.model_copy(update={"as_of": str(month)})})
    source = ingest.connect(params.ingest.source)
    ingest.check(source, month, "--month", "choose one of these months, or give the rows with --input")
    ingest.ingest(source, month, raw)
    return featurize.build(until, raw)
