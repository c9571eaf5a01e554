"""Scores as Parquet: OUT/version=v1.3.0/PARTITION.parquet, and beside them what is finished.

A file gets its name when it is whole and on the disk; then one line of `_manifest.jsonl` says so. What is cut
off in between has a file and no line: the next run writes that file again.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import polars as pl
from pydantic import ValidationError

from serving.batch.progress import say
from serving.batch.records import Done, file_name, home, refuse_other
from serving.batch.writing import full, stream, sync

MANIFEST = "_manifest.jsonl"


class Folder:
    """The scores of one version. A context: one run at a time, another one waits."""

    def __init__(self, out: Path, source: str, version: str, *, dry_run: bool = False) -> None:
        self.root, self._source, self._dry = out / home(version), source, dry_run
        self._held, self._known = ExitStack(), dict[str, Done]()

    def __enter__(self) -> Self:
        if not self._dry:
            self._lock()
        self._known = self._lines()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._held.close()

    def _lock(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = self._held.enter_context((self.root / "_lock").open("w"))
        except OSError as error:
            raise full(self.root, error) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say(f"another run writes {self.root}: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in self.root.rglob(".*.part"):  # by a run that was killed
            left.unlink(missing_ok=True)

    def done(self) -> dict[str, Done]:
        """What is finished of this source, by partition."""
        mine = {name: one for name, one in self._known.items() if one.source == self._source}
        return {name: one for name, one in mine.items() if self._whole(one)}

    def write(self, scored: Iterator[pl.DataFrame], done: Done) -> None:
        """Replace the partition's file, then note it. Raises StorageError (disk), ConfigError."""
        refuse_other(self._known.get(done.partition), self._source)
        path = self._path(done.partition)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stream(scored, path)
            noted = done.model_copy(update={"bytes": path.stat().st_size})
            self._note(noted.model_dump(mode="json"))
            self._known[done.partition] = noted
        except OSError as error:
            raise full(path, error) from None

    def drop(self, partitions: list[str]) -> None:
        """Their rows are gone from the source."""
        for name in partitions:
            self._path(name).unlink(missing_ok=True)
            self._note({"partition": name, "removed": True})
            self._known.pop(name, None)

    def _path(self, partition: str) -> Path:
        return self.root / file_name(partition)

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
        sync(self.root)
