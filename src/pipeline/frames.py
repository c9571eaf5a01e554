"""Parquet in and out: one place that knows how frames become files, with the same bytes every time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from mainline.errors import DataError
from mainline.records import write_atomically
from mainline.schema import Column, DType

ROW_GROUP = 131_072  # rows; given, because the default follows the frame's chunks and so the threads

DTYPES: dict[DType, pl.DataType] = {
    "string": pl.String(),
    "int64": pl.Int64(),
    "float64": pl.Float64(),
    "bool": pl.Boolean(),
    "date": pl.Date(),
    "datetime": pl.Datetime("us"),
}


def polars_schema(columns: Sequence[Column]) -> dict[str, pl.DataType]:
    """The Polars type of every column, in order. Datetimes are in microseconds, without a zone."""
    return {column.name: DTYPES[column.dtype] for column in columns}


def read(path: Path, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """All rows of a Parquet file, or only some of its columns.

    Raises DataError, naming the file, when it is missing, cannot be read, or lacks a column.
    """
    try:
        return pl.read_parquet(path, columns=list(columns) if columns is not None else None, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(path, error) from None


def schema(path: Path) -> dict[str, pl.DataType]:
    """Names and types of a Parquet file's columns, from its footer alone. Raises DataError as `read` does."""
    try:
        return dict(pl.read_parquet_schema(path))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path} does not exist", remedy="run the stage that writes it: make run")
    return DataError(
        f"{path} cannot be read as Parquet",
        why=str(error).splitlines()[0],
        remedy=f"delete it and run the stage that writes it again: rm {path} && make run",
    )


def write(frame: pl.DataFrame, path: Path) -> None:
    """Replace `path` in one step; equal frames give equal bytes, whatever their chunks."""
    buffer = io.BytesIO()
    frame.rechunk().write_parquet(buffer, compression="zstd", compression_level=3, row_group_size=ROW_GROUP)
    write_atomically(path, buffer.getvalue())
