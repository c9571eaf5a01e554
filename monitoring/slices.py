"""Parquet of others, some rows at a time, read in another process: on some damage Polars aborts its own."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Self, cast

import polars as pl

from pipeline import frames
from pipeline.text import inert


class DamagedError(Exception):
    """Why a file is no Parquet that can be read: a line, printable."""


class Slices:
    """The process starts with the first file, and anew after a file that ended it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()  # closes the pipes and waits

    def of(self, path: Path, rows: int, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """All rows of a file, `rows` at a time, one slice at least; of the columns all, or `columns`.

        Raises DamagedError, and FileNotFoundError.
        """
        start = 0
        while True:
            frame = self._slice([str(path.absolute()), start, rows, columns])
            yield frame
            start += frame.height
            if frame.height < rows:
                return

    def _slice(self, question: list[object]) -> pl.DataFrame:
        if self._process is None:
            command = [sys.executable, "-m", "monitoring.slices"]
            root = Path(__file__).parents[1]
            self._process = subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        ask, answer = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        try:
            ask.write(json.dumps(question).encode() + b"\n")
            ask.flush()
            size, error, gone = json.loads(answer.readline())
            content = answer.read(size)
        except (BrokenPipeError, ValueError):
            size, error, gone, content = 1, "", False, b""
        if len(content) < size:
            raise self._ended()
        if gone:
            raise FileNotFoundError(question[0])
        if error:
            raise DamagedError(error)
        return pl.read_ipc(content)

    def _ended(self) -> DamagedError:
        """Only a signal speaks against the file: with an exit code the process itself is broken."""
        process, self._process = cast("subprocess.Popen[bytes]", self._process), None
        process.communicate()
        if process.returncode >= 0:
            raise RuntimeError(f"the process that reads Parquet ended with exit code {process.returncode}")
        name = signal.Signals(-process.returncode).name
        return DamagedError(f"{name} ended the process that read it: damaged, or too large")


def _answer() -> None:
    """The other process: for each line of JSON the size of what follows, an error, and whether the file has
    gone; then Arrow IPC.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # panics write stack traces
    for line in sys.stdin:
        content, error, gone = io.BytesIO(), "", False
        try:
            _read(*json.loads(line)).write_ipc(content)
        except FileNotFoundError:
            gone = True
        except frames.UNREADABLE as found:
            error = inert(frames.why(found), 200) or type(found).__name__
        with content.getbuffer() as whole:
            sys.stdout.buffer.write(json.dumps([0 if error else whole.nbytes, error, gone]).encode() + b"\n")
            sys.stdout.buffer.write(b"" if error else whole)
        sys.stdout.buffer.flush()


def _read(path: str, start: int, rows: int, columns: list[str] | None) -> pl.DataFrame:
    lazy = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    if columns is not None:
        lazy = lazy.select(name for name in lazy.collect_schema().names() if name in columns)
    return lazy.slice(start, rows).collect()


if __name__ == "__main__":
    _answer()
