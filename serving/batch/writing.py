"""Scored frames as one Parquet file, which gets its name when it is whole and on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from mainline.errors import StorageError
from pipeline import frames
from pipeline.text import inert

MOST = 1_000_000  # rows in memory; more go through files


def stream(scored: Iterator[pl.DataFrame], path: Path) -> None:
    """In memory as long as there are few rows; else through parts, which are then made one file.

    Raises OSError, or StorageError where Polars meets one.
    """
    waiting: list[pl.DataFrame] = []
    parts: list[Path] = []
    try:
        for frame in scored:
            waiting.append(frame)
            if sum(one.height for one in waiting) >= MOST:
                _part(waiting, path, parts)
        if not parts:
            frames.write(pl.concat(waiting), path)
        else:
            _part(waiting, path, parts)
            _joined(parts, path)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    sync(path.parent)


def _part(waiting: list[pl.DataFrame], path: Path, parts: list[Path]) -> None:
    if waiting:
        parts.append(path.with_name(f".{path.name}.{len(parts)}.part"))
        try:
            pl.concat(waiting).write_parquet(parts[-1])
        except pl.exceptions.PolarsError as error:
            raise full(path, error) from None
        waiting.clear()


def _joined(parts: list[Path], path: Path) -> None:
    whole = path.with_name(f".{path.name}.whole.part")
    try:
        rows = pl.scan_parquet(parts, glob=False, hive_partitioning=False)
        rows.sink_parquet(whole, compression="zstd", compression_level=3, row_group_size=frames.ROW_GROUP)
        with whole.open("rb") as file:
            os.fsync(file.fileno())
        whole.replace(path)
    except pl.exceptions.PolarsError as error:
        raise full(path, error) from None
    finally:
        whole.unlink(missing_ok=True)


def sync(folder: Path) -> None:
    """A new name is on the disk only when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def full(path: Path, error: Exception) -> StorageError:
    """For what the disk refused; Polars tells it as a fault of the file."""
    why = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    return StorageError(
        f"{inert(str(path), 200)} cannot be written", why=inert(why, 200),
        remedy="make room, or take another --output; what is finished stays, the same command goes on",
    )  # fmt: skip
