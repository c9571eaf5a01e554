"""Scores as Parquet: OUT/version=v1.3.0/PARTITION.parquet, and beside them what is finished.

A line of `_manifest.jsonl` says whose a new file is; it gets its name when it is whole and on the disk; then
another line says so. What is cut off in between is known, not finished: the next run writes that file again.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

import polars as pl
from pydantic import ValidationError

from mainline.errors import DataError
from pipeline.text import inert
from serving.batch.progress import say
from serving.batch.records import Done, file_name, home, refuse_other
from serving.batch.writing import full, stream, sync

MANIFEST = "_manifest.jsonl"


class Folder:
    """The scores of one version. A context: one run at a time, another one waits."""

    def __init__(self, out: Path, source: str, version: str, *, dry_run: bool = False) -> None:
        self.root, self._source, self._dry = out / home(version), source, dry_run
        self._held, self._known = ExitStack(), dict[str, Done]()  # by file

    def __enter__(self) -> Self:
        if not self._dry:
            self._lock()
        self._known = {file: one for file, one in self._lines().items() if self._path(file).is_file()}
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
        return {name: one for name, one in self.known().items() if self._whole(one)}

    def known(self) -> dict[str, Done]:
        """What there is of this source, by partition; a kill may have left it by half."""
        return {one.partition: one for one in self._known.values() if one.source == self._source}

    def write(self, scored: Iterator[pl.DataFrame], done: Done) -> None:
        """Replace the partition's file, then note it. Raises StorageError (disk), ConfigError, DataError."""
        file, path = file_name(done.partition), self._path(done.partition)
        refuse_other(self._known.get(file), done.partition, self._source)
        try:
            if file not in self._known:
                self._note(done.model_dump(mode="json"))  # without its bytes: begun
            path.parent.mkdir(parents=True, exist_ok=True)
            stream(scored, path)
            noted = done.model_copy(update={"bytes": path.stat().st_size})
            self._note(noted.model_dump(mode="json"))
            self._known[file] = noted
        except OSError as error:
            raise full(path, error) from None

    def drop(self, partitions: list[str]) -> None:
        """Their rows are gone from the source."""
        for name in partitions:
            self._path(name).unlink(missing_ok=True)
            self._note({"partition": name, "removed": True})
            self._known.pop(file_name(name), None)

    def _path(self, partition: str) -> Path:
        """Raises DataError for one that is elsewhere: a folder's or a bucket's names are not ours."""
        path = PurePosixPath(file_name(partition))
        if path.is_absolute() or ".." in path.parts:
            raise DataError(
                f"{inert(partition, 200)} is no name of a partition", why="it leads out of the folder",
                remedy=f"rename that input; is it in {MANIFEST}, take the line away",
            )  # fmt: skip
        return self.root / path

    def _lines(self) -> dict[str, Done]:
        """The last word on each file. A line that a kill cut off counts for nothing."""
        found: dict[str, Done] = {}
        with suppress(FileNotFoundError):
            for line in (self.root / MANIFEST).read_bytes().splitlines():
                with suppress(ValueError, ValidationError, KeyError, TypeError, AttributeError):
                    said = json.loads(line)
                    if said.get("removed"):
                        found.pop(file_name(said["partition"]), None)
                    else:
                        found[file_name(said["partition"])] = Done.model_validate(said)
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
