"""Parquet of others, some rows at a time, read in another process: on some damage Polars aborts its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from pipeline import frames
from pipeline.text import inert

GONE = "gone"


class DamagedError(Exception):
    """Why a file is no Parquet that can be read: a line, printable."""


class Slices(frames.Child):
    """The process starts with the first file, and anew after a file that ended it."""

    module = "monitoring.slices"

    def of(self, path: Path, rows: int, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """All rows of a file, `rows` at a time, one slice at least; of the columns all, or `columns`.

        Raises DamagedError, and FileNotFoundError.
        """
        start = 0
        while True:
            frame = self._slice(path, start, rows, columns)
            yield frame
            start += frame.height
            if frame.height < rows:
                return

    def _slice(self, path: Path, start: int, rows: int, columns: Sequence[str] | None) -> pl.DataFrame:
        try:
            found = self.ask(str(path), start, rows, columns)
        except frames.EndedError as error:
            raise DamagedError(str(error)) from None
        if isinstance(found, pl.DataFrame):
            return found
        raise FileNotFoundError(path) if found == [GONE] else DamagedError(found[0])


def _read(path: str, start: int, rows: int, columns: list[str] | None) -> pl.DataFrame | list[str]:
    try:
        lazy = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        if columns is not None:
            lazy = lazy.select(name for name in lazy.collect_schema().names() if name in columns)
        return lazy.slice(start, rows).collect()
    except FileNotFoundError:
        return [GONE]
    except frames.UNREADABLE as error:
        return [inert(frames.why(error), 200) or type(error).__name__]


if __name__ == "__main__":
    frames.answer(_read)
