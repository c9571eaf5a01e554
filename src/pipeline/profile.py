"""Stage `profile`: sketch every column of the raw and the modelling tables, one in memory at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from mainline.errors import DataError
from mainline.profile import CATEGORIES, OTHER, QUANTILES, ColumnProfile, Profile, TableProfile
from mainline.schema import Column, FeatureTable, Table
from pipeline import frames, paths
from pipeline.text import inert
from usecase.schema import FEATURES, RAW

DIGITS = 6  # significant ones
PARTS = ("train", "validation", "test")


def main(_arguments: list[str]) -> int:
    """Write reports/profile.json. Raises DataError when a table is missing or cannot be read."""
    record = Profile(tables={**raw(paths.RAW, RAW), **features(paths.FEATURES, FEATURES)})
    record.write(paths.PROFILE)
    columns = sum(len(table.columns) for table in record.tables.values())
    size = paths.PROFILE.stat().st_size
    print(f"profile: {columns} columns of {len(record.tables)} tables, {size:,} bytes", flush=True)
    return 0


def raw(root: Path, tables: Sequence[Table]) -> dict[str, TableProfile]:
    """The sketch of each raw table; months are those of the file names. Raises DataError."""
    return {f"raw/{table.name}": _raw(root / table.name, table) for table in tables}


def _raw(folder: Path, table: Table) -> TableProfile:
    files = sorted(folder.glob("month=*.parquet"))
    if not files:
        raise DataError(f"{folder} holds no month", remedy="run ingest: make run")
    months = {file.stem.removeprefix("month="): _scan([file], table.columns) for file in files}
    rows = {month: _collect(part.select(pl.len()), folder).item() for month, part in months.items()}
    return TableProfile(months=rows, columns=_columns(_scan(files, table.columns), table.columns, folder))


def features(root: Path, declared: FeatureTable) -> dict[str, TableProfile]:
    """The sketch of each window of the modelling table; months are those of its time. Raises DataError."""
    columns = [column for column in declared.columns if column != declared.excluded]
    return {part: _features(root / f"{part}.parquet", columns, declared.time.name) for part in PARTS}


def _features(path: Path, columns: Sequence[Column], time: str) -> TableProfile:
    frame = _scan([path], columns)
    month = pl.col(time).dt.strftime("%Y-%m").fill_null("unknown").alias("month")
    counts = _collect(frame.group_by(month).agg(pl.len()).sort("month"), path)
    return TableProfile(months=dict(counts.iter_rows()), columns=_columns(frame, columns, path))


def _scan(files: list[Path], columns: Sequence[Column]) -> pl.LazyFrame:
    schema = frames.polars_schema(columns)
    return pl.scan_parquet(files, schema=schema, extra_columns="ignore", hive_partitioning=False, glob=False)


def _collect(frame: pl.LazyFrame, path: Path) -> pl.DataFrame:
    try:
        return frame.collect(engine="streaming")
    except frames.UNREADABLE as error:
        raise DataError(
            f"{path} cannot be profiled",
            why=frames.why(error),
            remedy="run the stages before it: make run; or correct src/usecase/schema.py",
        ) from None


def _columns(frame: pl.LazyFrame, columns: Sequence[Column], path: Path) -> dict[str, ColumnProfile]:
    return {c.name: sketch(_collect(frame.select(c.name), path).to_series(), c.dtype) for c in columns}


def sketch(values: pl.Series, dtype: str) -> ColumnProfile:
    """The profile of one column; the same rows in another order give the same."""
    present = values.drop_nulls().drop_nans() if values.dtype.is_float() else values.drop_nulls()
    nulls = _share(values.len() - present.len(), values.len())
    if dtype in ("string", "bool"):
        return ColumnProfile(dtype=dtype, nulls=nulls, shares=_shares(present.cast(pl.String)))
    finite = present.filter(present.is_finite()) if present.dtype.is_float() else present
    infinite = _share(present.len() - finite.len(), values.len())
    return ColumnProfile(dtype=dtype, nulls=nulls, infinite=infinite, quantiles=_quantiles(finite))


def _quantiles(values: pl.Series) -> list[float]:
    """Values by rank, none between two of them: exact on every machine, and whole where the data is."""
    if not values.len():
        return []
    last = values.len() - 1
    chosen = values.sort().gather([index * last // (QUANTILES - 1) for index in range(QUANTILES)])
    if chosen.dtype.is_temporal():
        return [float(value // 1_000_000) for value in chosen.cast(pl.Datetime("us")).cast(pl.Int64)]
    return [_round(float(value)) for value in chosen]


def _shares(values: pl.Series) -> dict[str, float]:
    """The most frequent values, ties in the order of their names; empty where no value repeats."""
    counted = values.alias("value").value_counts(name="rows")
    counted = counted.sort(["rows", "value"], descending=[True, False])
    if counted.height > CATEGORIES and counted["rows"][0] == 1:
        return {}
    named: dict[str, int] = {}
    for value, rows in counted.head(CATEGORIES).iter_rows():
        name = inert(value)
        named[name] = named.get(name, 0) + rows
    if rest := values.len() - sum(named.values()):
        named[OTHER] = named.get(OTHER, 0) + rest
    return {name: _share(rows, values.len()) for name, rows in named.items()}


def _share(part: int, whole: int) -> float:
    return _round(part / max(1, whole))


def _round(value: float) -> float:
    return float(f"{value:.{DIGITS}g}") + 0.0  # no -0.0
