"""Rows to score: the declared columns, in types that lose nothing, and their digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl

from mainline.errors import DataError
from mainline.schema import Column, FeatureTable
from pipeline.frames import DTYPES
from pipeline.text import inert

SHOWN = 5  # names or keys in a message
_INTEGERS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32)
# What holds no other value than the declared type can, by declared type; anything else was re-typed.
TAKEN: dict[str, tuple[Any, ...]] = {
    "string": (pl.String, pl.Categorical, pl.Enum),
    "int64": _INTEGERS,
    "float64": (pl.Float32, pl.Float64, pl.Decimal, *_INTEGERS),
    "bool": (pl.Boolean,),
    "date": (pl.Date,),
    "datetime": (pl.Datetime,),
}
REMEDY = "give the columns that usecase/schema.py declares: the key, the time and every feature"


def wanted(table: FeatureTable) -> dict[str, Column]:
    """What is read of each row: key, time and features; nothing else is looked at."""
    return {column.name: column for column in (table.key, table.time, *table.features)}


def check(name: str, schema: Mapping[str, pl.DataType], table: FeatureTable) -> None:
    """Raises DataError, naming the place and its columns, where one is missing or of another type."""
    problems = [p for column in wanted(table).values() if (p := _problem(column, schema))]
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        why = "; ".join(problems[:SHOWN]) + more
        raise DataError(f"{inert(name, 200)} cannot be scored", why=why, remedy=REMEDY)


def _problem(column: Column, schema: Mapping[str, pl.DataType]) -> str:
    found = schema.get(column.name)
    if found is None:
        return f"{column.name} is missing"
    if found == pl.Null():  # no value at all, so none of a wrong type
        return ""
    if isinstance(found, pl.Datetime) and found.time_zone:
        return f"{column.name} has the time zone {inert(found.time_zone)}, and should have none"
    if isinstance(found, TAKEN[column.dtype]):
        return ""
    return f"{column.name} is {inert(str(found))}, should be {DTYPES[column.dtype]}"


def typed(name: str, frame: pl.DataFrame, table: FeatureTable) -> pl.DataFrame:
    """The wanted columns in their declared types. Raises DataError for a row without key or time."""
    columns = wanted(table)
    made = frame.select(pl.col(column.name).cast(DTYPES[column.dtype]) for column in columns.values())
    for column in (table.key, table.time):
        if missing := made[column.name].null_count():
            raise DataError(
                f"{missing:,} rows of {inert(name, 200)} have no {column.name}",
                remedy="every row needs its key and its time",
            )
    return made


def digest(frames: Iterable[pl.DataFrame]) -> tuple[str, int]:
    """sha256 of typed frames, and their rows; the same rows give the same whatever their chunks hold."""
    seen, rows = hashlib.sha256(), 0
    for frame in frames:
        rows += frame.height
        for column in frame.iter_columns():
            _feed(seen, column)
    return seen.hexdigest(), rows


def _feed(seen: Any, column: pl.Series) -> None:
    """Values where there are any: what lies in memory below a null is nobody's."""
    seen.update(np.packbits(column.is_null().to_numpy()).tobytes())
    if column.dtype == pl.String():
        filled = column.fill_null("")
        seen.update(filled.str.len_bytes().to_numpy().tobytes())
        seen.update(str(filled.str.join("")[0] or "").encode())
        return
    numbers = column.to_physical()
    numbers = numbers.cast(pl.Int8) if numbers.dtype == pl.Boolean() else numbers
    seen.update(numbers.fill_null(0).to_numpy().tobytes())
