"""What JSON lines and Parquet have in common: one set of checks; every row that fails one is counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mainline.schema import Column, FeatureTable
from monitoring.reading import Found
from monitoring.reference import AT, FITS, SCORE, VERSION, as_array
from pipeline.frames import DTYPES

AHEAD = timedelta(days=31)  # a row's time may lie after its answer; further away it is an error
LINE, DAY = "_line", "_at_day"  # while a batch is checked: its number in the file, the day it counts on


@dataclass
class Rows:
    """`found` fills as batches are checked; `file` is the one that is read.

    `version`: the one in production. The rows of others need not have its schema, and are no faults: their
    features are null where they have not, with FITS false, and so is a score that cannot be one of this
    model's. None: every row is production's.
    """

    table: FeatureTable
    model: str
    version: str | None = None
    found: Found = field(default_factory=Found)
    file: str = ""

    @property
    def ours(self) -> pl.Expr:
        return pl.lit(True) if self.version is None else pl.col(VERSION).eq_missing(self.version)

    def checked(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows of this model with a time and a score, the times parsed; the others are counted."""
        time = self.table.time
        frame = self.dated(frame)
        frame = self._keep(frame, pl.col("model") == self.model, "another model", "model", every=True)
        self.found.others += frame.select((~self.ours).sum()).item()
        frame = self._keep(frame, pl.col(self.table.key.name).is_not_null(), "no key", "key")
        frame = self._keep(frame, pl.col(time.name).is_not_null(), "no time", "time")
        future = pl.col(time.name) > pl.col(AT) + AHEAD
        frame = self._keep(frame, ~future.fill_null(False), "from the future", "time")
        frame = self._scored(frame)
        if FITS not in frame.columns:
            frame = frame.with_columns(pl.lit(True).alias(FITS))
        self.found.count(by_day(frame))
        frame = frame.with_columns(pl.col(time.name).cast(DTYPES[time.dtype]))
        features = (one.name for one in self.table.features)
        names = [AT, VERSION, SCORE, FITS, self.table.key.name, time.name, *features]
        return frame.select(list(dict.fromkeys(names)))

    def dated(self, frame: pl.DataFrame) -> pl.DataFrame:
        """With both times parsed, and DAY: the row's own, else its answer's, else that of the row before."""
        name = self.table.time.name
        lacking = [pl.lit(None, pl.String).alias(one) for one in (AT, name) if one not in frame.columns]
        frame = frame.with_columns(*lacking).with_columns(moment(AT), moment(name))
        time, at = pl.col(name), pl.col(AT)
        own = pl.when(at.is_null() | (time <= at + AHEAD)).then(time)
        day = pl.coalesce(own, at).cast(pl.Date).forward_fill()
        frame = frame.with_columns(day.fill_null(pl.lit(self.found.last, pl.Date)).alias(DAY))
        if frame.height:
            self.found.begin(frame[DAY].drop_nulls().first())  # type: ignore[arg-type]  # of any type
            self.found.last = frame[DAY][-1]
        return frame

    def _keep(
        self, frame: pl.DataFrame, good: pl.Expr, reason: str, where: str, *, every: bool = False
    ) -> pl.DataFrame:
        """The good rows. The others are refused; of other versions only if `every`, else they only count."""
        passed = frame.select(good.fill_null(False).alias("_good")).to_series()
        if passed.all():  # as nearly always: no copy of all columns
            return frame
        bad = frame.filter(~passed)
        refused = bad if every else bad.filter(self.ours)
        if refused.height:
            self.found.refuse(reason, where, self.file, refused[LINE][0], by_day(refused))
        if not every:
            self.found.count(by_day(bad.filter(~self.ours)))
        return frame.filter(passed)

    def _scored(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Without the rows whose score is none; with null where another version gave it."""
        possible = pl.Series(_possible(frame[SCORE], self.table))
        if possible.all():
            return frame
        good = pl.lit(possible)
        blank = frame.with_columns(pl.when(good).then(SCORE).alias(SCORE))
        return self._keep(blank, good | ~self.ours, "not a score", "score")

    def scores(self, scores: list[Any]) -> pl.Series:
        """Null where it is no score."""
        if self.table.task != "multiclass":
            return pl.Series(scores, dtype=pl.Float64)
        classes = self.table.classes
        listed = [
            [one[name] for name in classes] if isinstance(one, dict) and one.keys() == set(classes) else one
            for one in scores
        ]
        good = [one if _numbers(one, len(classes)) else None for one in listed]
        return pl.Series(good, dtype=pl.List(pl.Float64))


def typed(declared: Column, values: list[Any] | pl.Series) -> pl.Series:
    """A column of the log in its declared type; a date or a time is text there."""
    if declared.dtype in ("date", "datetime"):
        text = pl.Series(declared.name, values, dtype=pl.String).to_frame()
        return text.select(moment(declared.name).cast(DTYPES[declared.dtype])).to_series()
    return pl.Series(declared.name, values, dtype=DTYPES[declared.dtype])


def moment(name: str) -> pl.Expr:
    """A date or a time (ISO) as the clock shows it, null when it is none; an offset from UTC is left out."""
    column = pl.col(name)
    text = column.cast(pl.String).str.replace(" ", "T", literal=True).str.slice(0, 19)
    full = pl.when(text.str.len_chars() == 10).then(text + "T00:00:00").otherwise(text)
    return full.str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False).alias(name)


def parsed(text: object) -> datetime | None:
    """As `moment` takes it."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.strptime(f"{text[:10]}T{text[11:19] or '00:00:00'}", "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return None


def by_day(frame: pl.DataFrame) -> dict[date | None, int]:
    return dict(frame.group_by(DAY, maintain_order=True).len().iter_rows())


def _numbers(score: object, count: int) -> bool:
    """Whether it is a list of so many of them; `true` is none."""
    return isinstance(score, list) and len(score) == count and all(type(one) in (int, float) for one in score)


def _possible(score: pl.Series, table: FeatureTable) -> NDArray[np.bool_]:
    """Which scores are such: finite, and probabilities where they should be."""
    if table.task == "multiclass":
        whole = (score.is_not_null() & (score.list.len() == len(table.classes))).to_numpy()
        good = np.zeros(score.len(), dtype=bool)
        if whole.any():
            p = as_array(score.filter(pl.Series(whole)), table.task, len(table.classes))
            good[whole] = ((p >= 0) & (p <= 1)).all(axis=1) & (np.abs(p.sum(axis=1) - 1) < 1e-3)
        return good
    values = score.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    with np.errstate(invalid="ignore"):
        possible = (values >= 0) & (values <= 1) if table.task == "binary" else np.ones(len(values), bool)
    finite: NDArray[np.bool_] = np.isfinite(values) & possible
    return finite
