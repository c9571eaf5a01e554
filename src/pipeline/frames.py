"""Parquet in and out: one place that knows how frames become files, with the same bytes every time."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self, cast

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


# What Polars raises on files that are damaged; a panic is no Exception.
UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


def read(
    path: Path | str, columns: Sequence[str] | None = None, storage: Mapping[str, object] | None = None
) -> pl.DataFrame:
    """All rows of a Parquet file, or only some of its columns; `storage` has the options of a URL's store.

    Raises DataError, naming the file, when it is missing, cannot be read, or lacks a column.
    """
    chosen = list(columns) if columns is not None else None
    options = dict(storage) if storage is not None else None
    try:
        return pl.read_parquet(
            path, columns=chosen, glob=False, hive_partitioning=False, storage_options=options
        )
    except UNREADABLE as error:
        raise _unreadable(path, error) from None


def schema(path: Path) -> dict[str, pl.DataType]:
    """Names and types of a Parquet file's columns, from its footer alone. Raises DataError as `read` does."""
    try:
        return dict(pl.read_parquet_schema(path))
    except UNREADABLE as error:
        raise _unreadable(path, error) from None


class Reader:
    """`read` in another process, for files of others: on some damage Polars aborts the process it is in.

    The process starts with the first file, and anew after a file that ended it.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()  # closes the pipes and waits

    def read(self, path: Path | str, storage: Mapping[str, object] | None = None) -> pl.DataFrame:
        """All rows and columns. Raises DataError as `read` does, and for a file that ended the process."""
        if self._process is None:
            command = [sys.executable, "-m", "pipeline.frames"]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        question, answer = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        try:
            question.write(json.dumps([str(path), storage]).encode() + b"\n")
            question.flush()
            size, error = json.loads(answer.readline())
            content = answer.read(size)
        except (BrokenPipeError, ValueError):
            size, error, content = 1, [], b""
        if len(content) < size:
            raise self._ended(path)
        if error:
            raise DataError(error[0], why=error[1], remedy=error[2])
        return pl.read_ipc(content)

    def _ended(self, path: Path | str) -> DataError:
        """Only a signal speaks against the file: with an exit code the process itself is broken."""
        process, self._process = cast("subprocess.Popen[bytes]", self._process), None
        process.communicate()
        if process.returncode >= 0:
            raise RuntimeError(f"the process that reads Parquet ended with exit code {process.returncode}")
        name = signal.Signals(-process.returncode).name
        return _unreadable(path, OSError(f"{name} ended the process that read it: damaged, or too large"))


def _answer() -> None:
    """The other process: for each line of JSON the size of what follows and an error; then Arrow IPC."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # panics write stack traces
    for line in sys.stdin:
        path, storage = json.loads(line)
        content, error = io.BytesIO(), []
        try:
            read(path, storage=storage).write_ipc(content)
        except DataError as found:
            error = [found.what, found.why, found.remedy]
        with content.getbuffer() as whole:
            sys.stdout.buffer.write(json.dumps([whole.nbytes, error]).encode() + b"\n")
            sys.stdout.buffer.write(whole)
        sys.stdout.buffer.flush()


def _unreadable(path: Path | str, error: BaseException) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path} does not exist", remedy="run the stage that writes it: make run")
    return DataError(
        f"{path} cannot be read as Parquet",
        why=why(error),
        remedy=f"delete it and run the stage that writes it again: rm {path} && make run",
    )


def why(error: BaseException) -> str:
    """One line, the same each time: a panic's own text has the numbers of threads and tasks."""
    if isinstance(error, pl.exceptions.PanicException):
        return "Polars panicked"
    return (str(error) or type(error).__name__).splitlines()[0]


def write(frame: pl.DataFrame, path: Path) -> None:
    """Replace `path` in one step; equal frames give equal bytes, whatever their chunks."""
    buffer = io.BytesIO()
    frame.rechunk().write_parquet(buffer, compression="zstd", compression_level=3, row_group_size=ROW_GROUP)
    write_atomically(path, buffer.getvalue())


if __name__ == "__main__":
    _answer()
