"""A log as Parquet: whole batches are of the schema, or are not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl

from mainline.drift import NOT_PARQUET
from monitoring.reference import AT, FITS, SCORE, VERSION
from monitoring.rows import LINE, Rows, by_day
from monitoring.slices import DamagedError, Slices
from pipeline.frames import DTYPES
from pipeline.text import inert

BATCH_ROWS = 100_000


class Tables:
    """Parquet files, checked by `rows`."""

    def __init__(self, rows: Rows) -> None:
        self.rows, self.table, self.found = rows, rows.table, rows.found

    def batches(self, path: Path, slices: Slices) -> Iterator[pl.DataFrame]:
        """The rows of one file that can be used. What of it is damaged counts as one line."""
        start = 1
        try:
            for rows in slices.of(path, BATCH_ROWS):
                self.found.lines += rows.height
                named = self._named(rows.with_row_index(LINE, offset=start))
                start += rows.height
                if self.rows.version is not None and VERSION in named.columns:
                    yield self._others(named.filter(~self.rows.ours))
                    named = named.filter(self.rows.ours)
                yield self._typed(named)
        except DamagedError as error:
            print(f"damaged: {inert(self.rows.file)}: {error}", file=sys.stderr, flush=True)
            self._lost(start)
        except pl.exceptions.PolarsError:  # of types that no column of ours can have
            self._lost(start)

    def _lost(self, line: int) -> None:
        """The rest of a file, from `line` on."""
        self.found.lines += 1
        self.found.refuse(NOT_PARQUET, "", self.rows.file, line, {self.found.last: 1})

    def _named(self, rows: pl.DataFrame) -> pl.DataFrame:
        """A batch under our names."""
        own = {AT: "at", VERSION: "version", SCORE: "score", "model": "model"}
        aliases = {self.table.key.name: "key", self.table.time.name: "time"} | own
        rows = rows.rename(
            {
                other: one
                for one, other in aliases.items()
                if one not in rows.columns and other in rows.columns
            }
        )
        rows = rows if AT in rows.columns else rows.with_columns(pl.lit(None, pl.String).alias(AT))
        if VERSION in rows.columns:
            rows = rows.with_columns(pl.col(VERSION).cast(pl.String).fill_null(""))
        return rows

    def _others(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows of other versions, with their features where all of them are as this one's."""
        if not rows.height:
            return rows
        if not {self.table.key.name, self.table.time.name, "model"} <= set(rows.columns):
            self.found.others += rows.height
            self.found.count(self._days(rows))
            return rows.clear()
        fitted = self._fitted(rows)
        return self.rows.checked(self._headed(rows) if isinstance(fitted, str) else fitted)

    def _headed(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Without their features, with their scores where those are such."""
        key, time = self.table.key, self.table.time.name
        nothing = [pl.lit(None, DTYPES[one.dtype]).alias(one.name) for one in self.table.features]
        head = rows.select(
            LINE, AT, "model", VERSION, pl.col(key.name).cast(DTYPES[key.dtype], strict=False), time
        )
        try:
            scores = self._scores(rows[SCORE])
        except (pl.exceptions.PolarsError, TypeError):  # of a type that no score of ours has
            scores = self.rows.scores([None] * rows.height)
        return head.with_columns(*nothing, scores.alias(SCORE), pl.lit(False).alias(FITS))

    def _typed(self, rows: pl.DataFrame) -> pl.DataFrame:
        """A batch in the types of the schema; none of it when its columns are others."""
        if not rows.height:
            return rows
        fitted = self._fitted(rows)
        if isinstance(fitted, str):
            self._name(rows)
            return self._unfit(rows, fitted)
        try:
            return self.rows.checked(fitted)
        except pl.exceptions.PolarsError:
            return self._unfit(rows, "score")

    def _fitted(self, rows: pl.DataFrame) -> pl.DataFrame | str:
        """In the types of the schema; or the name of the column that is not as it should be."""
        wanted = {one.name: DTYPES[one.dtype] for one in self.table.features}
        inside = _inside(rows)
        if inside is not None:
            if inside - wanted.keys():
                return min(inside - wanted.keys())
            rows = rows.unnest("features")
        needed = [*wanted, self.table.key.name, self.table.time.name, AT, VERSION, SCORE, "model"]
        lacking = [one for one in needed if one not in rows.columns]
        if lacking:
            return ", ".join(lacking)
        for name, dtype in (wanted | {self.table.key.name: DTYPES[self.table.key.dtype]}).items():
            try:
                values = whole(rows[name], dtype) if name in wanted else rows[name]
                rows = rows.with_columns(values.cast(dtype))
            except pl.exceptions.PolarsError:
                return name
        try:
            return rows.with_columns(self._scores(rows[SCORE]).alias(SCORE))
        except pl.exceptions.PolarsError:
            return "score"

    def _name(self, rows: pl.DataFrame) -> None:
        """Count the features that are too many, else those that are missing."""
        wanted, inside = [one.name for one in self.table.features], _inside(rows)
        if extra := (inside or set()) - set(wanted):
            self.found.extra.update({inert(one): rows.height for one in extra})
            return
        names = (inside or set()) | set(rows.columns)
        self.found.missing.update({one: rows.height for one in wanted if one not in names})

    def _unfit(self, rows: pl.DataFrame, where: str) -> pl.DataFrame:
        self.found.refuse("another schema", where, self.rows.file, rows[LINE][0], self._days(rows))
        return rows.clear()

    def _days(self, rows: pl.DataFrame) -> dict[date | None, int]:
        try:
            return by_day(self.rows.dated(rows))
        except pl.exceptions.PolarsError:
            return {self.found.last: rows.height}

    def _scores(self, scores: pl.Series) -> pl.Series:
        if self.table.task == "multiclass":
            return self.rows.scores(scores.to_list())
        return scores.cast(pl.Float64)


def _inside(rows: pl.DataFrame) -> set[str] | None:
    """The features that are in a struct, where there is one."""
    features = rows.schema.get("features")
    return {one.name for one in features.fields} if isinstance(features, pl.Struct) else None


def whole(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    """`values`, ready to become `dtype`: NaN is null where it has none.

    Raises InvalidOperationError where numbers would lose their fraction.
    """
    if not (values.dtype.is_float() and dtype.is_integer()):
        return values
    values = values.fill_nan(None)
    if not (values.drop_nulls() == values.drop_nulls().round()).all():
        raise pl.exceptions.InvalidOperationError(f"{inert(values.name)} has fractions, and is {dtype}")
    return values
