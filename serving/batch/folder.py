"""Scores as Parquet: OUT/version=v1.3.0/PARTITION.parquet, and beside them what is finished.

A file gets its name when it is whole and on the disk; then one line of `_manifest.jsonl` says so. What is cut
off in between has a file and no line: the next run writes that file again.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import polars as pl
from pydantic import ValidationError

from mainline.errors import ConfigError, StorageError
from pipeline import frames
from pipeline.text import inert
from serving.batch.records import Done

MANIFEST = "_manifest.jsonl"
MOST = 1_000_000  # rows in memory; more go through files
SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")


class Folder:
    """The scores of one version. A context: one run at a time, another one waits."""

    def __init__(self, out: Path, source: str, version: str, *, dry_run: bool = False) -> None:
        if not SAFE.fullmatch(version):
            raise ConfigError(f"{inert(version)!r} is no version of a model")
        self.root, self._source, self._dry = out / f"version={version}", source, dry_run
        self._held = ExitStack()

    def __enter__(self) -> Self:
        if self._dry:
            return self
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = self._held.enter_context((self.root / "_lock").open("w"))
        except OSError as error:
            raise _disk(self.root, error) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"another run writes {self.root}: waiting for it", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in self.root.rglob(".*.part"):  # by a run that was killed
            left.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._held.close()

    def done(self) -> dict[str, Done]:
        """What is finished of this source, by partition. Raises ConfigError where another source writes."""
        found = {name: one for name, one in self._lines().items() if self._whole(one)}
        return {name: one for name, one in found.items() if one.source == self._source}

    def write(self, scored: Iterator[pl.DataFrame], done: Done) -> None:
        """Replace the partition's file, then note it. Raises StorageError (disk), ConfigError."""
        other = self._lines().get(done.partition)
        if other is not None and other.source != self._source:
            raise ConfigError(
                f"{inert(done.partition)} is here already, from {inert(other.source)}",
                remedy="give each source a folder of its own, or the same name: --source NAME",
            )
        path = self._path(done.partition)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream(scored, path)
            self._note(done.model_copy(update={"bytes": path.stat().st_size}).model_dump(mode="json"))
        except OSError as error:
            raise _disk(path, error) from None

    def drop(self, partitions: list[str]) -> None:
        """Their rows are gone from the source."""
        for name in partitions:
            self._path(name).unlink(missing_ok=True)
            self._note({"partition": name, "removed": True})

    def _path(self, partition: str) -> Path:
        return self.root / (partition if partition.endswith(".parquet") else f"{partition}.parquet")

    def _stream(self, scored: Iterator[pl.DataFrame], path: Path) -> None:
        """In memory as long as there are few rows; else through parts, which are then made one file."""
        waiting: list[pl.DataFrame] = []
        parts: list[Path] = []
        try:
            for frame in scored:
                waiting.append(frame)
                if sum(one.height for one in waiting) >= MOST:
                    parts.append(path.with_name(f".{path.name}.{len(parts)}.part"))
                    pl.concat(waiting).write_parquet(parts[-1])
                    waiting.clear()
            if not parts:
                frames.write(pl.concat(waiting), path)
            else:
                self._joined(parts, waiting, path)
        finally:
            for part in parts:
                part.unlink(missing_ok=True)
        _sync(path.parent)

    def _joined(self, parts: list[Path], waiting: list[pl.DataFrame], path: Path) -> None:
        if waiting:
            parts.append(path.with_name(f".{path.name}.{len(parts)}.part"))
            pl.concat(waiting).write_parquet(parts[-1])
        whole = path.with_name(f".{path.name}.whole.part")
        try:
            rows = pl.scan_parquet(parts, glob=False, hive_partitioning=False)
            rows.sink_parquet(whole, compression="zstd", compression_level=3, row_group_size=frames.ROW_GROUP)
            with whole.open("rb") as file:
                os.fsync(file.fileno())
            whole.replace(path)
        finally:
            whole.unlink(missing_ok=True)

    def _lines(self) -> dict[str, Done]:
        """The last word on each partition. A line that a kill cut off counts for nothing."""
        found: dict[str, Done] = {}
        with suppress(FileNotFoundError):
            for line in (self.root / MANIFEST).read_bytes().splitlines():
                with suppress(ValueError, ValidationError, KeyError, TypeError):
                    said = json.loads(line)
                    if said.get("removed"):
                        found.pop(said["partition"], None)
                    else:
                        found[said["partition"]] = Done.model_validate(said)
        return found

    def _whole(self, done: Done) -> bool:
        with suppress(OSError):
            return self._path(done.partition).stat().st_size == done.bytes
        return False

    def _note(self, line: dict[str, object]) -> None:
        with (self.root / MANIFEST).open("a+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 1, 0))
            torn = size > 0 and file.read(1) != b"\n"
            file.write(b"\n" * torn + json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        _sync(self.root)


def _sync(folder: Path) -> None:
    """A new name is on the disk only when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _disk(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{inert(str(path), 200)} cannot be written", why=error.strerror or str(error),
        remedy="make room, or take another --output; what is finished stays, the same command goes on",
    )  # fmt: skip
