"""Parquet in and out: one place that knows how frames become files, with the same bytes every time."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, ClassVar, Self, cast

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


class EndedError(Exception):
    """What ended the other process while it read: a line. Its own exit code is no answer about a file."""


class Child:
    """Another process that reads files of others: on some damage Polars aborts the process it is in.

    It is `python -m MODULE`, which calls `answer`; it starts with the first question, and anew after a file
    that ended it.
    """

    module: ClassVar[str]

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()  # closes the pipes and waits

    def ask(self, *question: object) -> pl.DataFrame | list[str]:
        """The rows, or what `answer` was told instead. Raises EndedError."""
        if self._process is None:
            inherited = os.environ.get("PYTHONPATH")
            paths = os.pathsep.join(filter(None, [inherited, *sys.path]))  # so it starts in any folder
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.module],
                env={**os.environ, "PYTHONPATH": paths},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        write, read = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        try:
            write.write(json.dumps(question).encode() + b"\n")
            write.flush()
            size, instead = json.loads(read.readline())
            content = read.read(size)
        except (BrokenPipeError, ValueError):
            size, instead, content = 1, [], b""
        if len(content) < size:
            raise self._ended()
        return cast("list[str]", instead) or pl.read_ipc(content)

    def _ended(self) -> EndedError:
        """Only a signal speaks against the file: with an exit code the process itself is broken."""
        process, self._process = cast("subprocess.Popen[bytes]", self._process), None
        process.communicate()
        if process.returncode >= 0:
            raise RuntimeError(f"the process that reads Parquet ended with exit code {process.returncode}")
        name = signal.Signals(-process.returncode).name
        return EndedError(f"{name} ended the process that read it: damaged, or too large")


def answer(find: Callable[..., pl.DataFrame | list[str]]) -> None:
    """The other process: for each line of JSON the size of what follows and words instead; then Arrow IPC."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # panics write stack traces
    for line in sys.stdin:
        found, content = find(*json.loads(line)), io.BytesIO()
        if isinstance(found, pl.DataFrame):
            found.write_ipc(content)
        with content.getbuffer() as whole:
            instead = found if isinstance(found, list) else []
            sys.stdout.buffer.write(json.dumps([whole.nbytes, instead]).encode() + b"\n")
            sys.stdout.buffer.write(whole)
        sys.stdout.buffer.flush()


class Reader(Child):
    """`read` in another process."""

    module = "pipeline.frames"

    def read(self, path: Path | str, storage: Mapping[str, object] | None = None) -> pl.DataFrame:
        """All rows and columns. Raises DataError as `read` does, and for a file that ended the process."""
        try:
            found = self.ask(str(path), storage)
        except EndedError as error:
            raise _unreadable(path, error) from None
        if isinstance(found, list):
            raise DataError(found[0], why=found[1], remedy=found[2])
        return found


def _read(path: str, storage: Mapping[str, object] | None) -> pl.DataFrame | list[str]:
    try:
        return read(path, storage=storage)
    except DataError as error:
        return [error.what, error.why, error.remedy]


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
    answer(_read)
