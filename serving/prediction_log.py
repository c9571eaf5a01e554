"""The log of predictions: its lines, and a backend of `bentoml.monitor` that loses none it has acknowledged.

BentoML's own file backend takes values one by one, through the logging module. This one appends all lines of
a request with a single write before the request is answered: they outlive the process, also when it is
killed (not a power cut: that would take an fsync). Files are set aside when they have grown long.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from bentoml.monitoring import MonitorBase

from serving.rows import Row

FILE = "predictions.jsonl"
ENCODER = msgspec.json.Encoder()
Head = tuple[str, str, str, str]  # of a line: at, request_id, model, version


class LogError(OSError):
    """The log cannot be written; nothing is acknowledged that is not in it."""


class Line(msgspec.Struct, gc=False):
    """`score`: the probability, the probability of each class, or the value."""

    at: str
    request_id: str
    model: str
    version: str
    key: Any
    time: Any
    score: Any
    decision: Any
    features: Row


def lines(common: Head, rows: Sequence[Row], told: Sequence[Mapping[str, Any]]) -> bytes:
    """A `Line` a row, each with its end. Takes key and time out of the rows."""
    made = []
    for row, one in zip(rows, told, strict=True):
        made.append(Line(*common, row.key, row.time, next(iter(one.values())), one.get("decision"), row))
        row.key = row.time = msgspec.UNSET  # not copied for the log, which says both beside the features
    return ENCODER.encode_lines(made)


class FileMonitor(MonitorBase[Any]):
    """Appends JSON lines to `folder`/predictions.jsonl.

    Several processes may share the folder: lines are whole, and a file that one has set aside is still
    written to by the others. A line that a kill or a full disk left unfinished is ended before the next one.
    """

    def __init__(self, name: str, folder: str, longest: int, keep: int, **_: Any) -> None:
        super().__init__(name)
        self._path = Path(folder) / FILE
        self._longest = longest
        self._keep = keep
        self._broken = False  # whether the last line has no end
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._open()

    def start_record(self) -> None:
        """Nothing to prepare: `log_table` writes."""

    def stop_record(self) -> None:
        """Nothing is held back."""

    def log_table(self, data: Iterable[Any], schema: dict[str, str]) -> None:  # noqa: ARG002
        """Append whole lines, as `lines` makes them. Raises LogError when not all of it could be written."""
        content = b"".join([b"\n", *data] if self._broken else data)
        if self._size and self._size + len(content) > self._longest:
            self._set_aside()
        self._broken = True
        try:
            written = os.write(self._file, content)
            self._size += written
            if written < len(content):
                raise OSError("the write was cut short; is the disk full?")
        except OSError as error:
            raise LogError(f"{self._path} cannot be written: {error}") from error
        self._broken = False

    def close(self) -> None:
        os.close(self._file)

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._file).st_size
        self._broken = self._size > 0 and os.pread(self._file, 1, self._size - 1) != b"\n"

    def _set_aside(self) -> None:
        """Rename the file by the time, and forget the oldest; another process may have done it first."""
        old = self._file
        now = time.time_ns()
        try:
            if os.fstat(old).st_ino == self._path.stat().st_ino:
                self._path.rename(self._path.with_name(f"predictions.{now:020d}.jsonl"))
        except FileNotFoundError:
            pass
        try:
            self._open()
        except OSError as error:
            raise LogError(f"{self._path} cannot be opened: {error}") from error
        os.close(old)
        for path in sorted(self._path.parent.glob("predictions.*.jsonl"))[: -self._keep]:
            path.unlink(missing_ok=True)
