"""Scores as Parquet in an S3 store: OUT/version=v1.3.0/PARTITION.parquet; _manifest/ says what is finished.

A file is uploaded under a temporary key; where it is new, a note says whose it is; it is copied to its own
key and noted with its ETag. What is cut off in between has no ETag noted, or another: the next run writes it
again. A store has no lock: of two runs at once each scores all, to the same keys; a file that is not the one
noted is scored again by the next.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl
from pydantic import ValidationError

from mainline.errors import StorageError
from serving.batch import places, s3
from serving.batch.records import Done, file_name, home, refuse_other
from serving.batch.writing import full, stream

OLD = timedelta(days=1)  # of a temporary key: no run is on it any more
READERS = 16  # notes read at once


class Bucket:
    """The scores of one version. A context."""

    def __init__(self, out: str, source: str, version: str, spool: Path, *, dry_run: bool = False) -> None:
        self._out, self._source, self._dry, self._spool = out, source, dry_run, spool
        self._root = f"{s3.key(out)}/{home(version)}"
        self._temporary = f"{self._root}/_tmp/{uuid.uuid4()}"  # no .parquet: no reader takes it for scores
        self._store: Any = None
        self._here: dict[str, dict[str, Any]] = {}
        self._known: dict[str, Done] = {}  # by file

    def __enter__(self) -> Self:
        """Raises StorageError."""
        with s3.refusals(self._out, StorageError, "read"):
            self._store = s3.connect()
            self._here = self._store.find(self._root, detail=True)
            notes = [path for path in self._here if path.startswith(f"{self._root}/_manifest/")]
            with ThreadPoolExecutor(READERS) as pool:
                found = [_parsed(content) for content in pool.map(self._store.cat_file, notes)]
        known = [one for one in found if one is not None and self._key(one.partition) in self._here]
        self._known = {file_name(one.partition): one for one in known}
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Temporary keys that a kill left are removed, ours at once."""
        if self._dry:
            return
        left = [path for path, found in self._here.items() if self._old(path, found)]
        for path in (*left, self._temporary):
            with suppress(Exception):
                self._store.rm_file(path)

    def done(self) -> dict[str, Done]:
        """What is finished of this source, by partition."""
        return {name: one for name, one in self.known().items() if self._whole(one)}

    def known(self) -> dict[str, Done]:
        """What there is of this source, by partition; a kill may have left it without its note."""
        return {one.partition: one for one in self._known.values() if one.source == self._source}

    def write(self, scored: Iterator[pl.DataFrame], done: Done) -> None:
        """Replace the partition's object, then note it. Raises StorageError, ConfigError."""
        file, key = file_name(done.partition), self._key(done.partition)
        refuse_other(self._known.get(file), done.partition, self._source)
        local = self._spool / "scored.parquet"
        try:
            stream(scored, local)
            size = local.stat().st_size
        except OSError as error:
            raise full(local, error) from None
        with s3.refusals(f"{places.S3}{key}", StorageError, "written"):
            noted = done.model_copy(update={"bytes": size, "etag": self._uploaded(local, done)})
            self._noted(noted)
        self._known[file] = noted
        local.unlink()

    def _noted(self, done: Done) -> None:
        self._store.pipe_file(self._note(done.partition), done.model_dump_json().encode())

    def _uploaded(self, local: Path, done: Done) -> str:
        """Its ETag. The key holds what it held, or all of the file."""
        key = self._key(done.partition)
        self._store.put_file(str(local), self._temporary)
        size = self._store.info(self._temporary)["size"]
        if size != local.stat().st_size:
            raise OSError(f"{size:,} bytes arrived, of {local.stat().st_size:,}")
        if file_name(done.partition) not in self._known:
            self._noted(done)  # without its ETag: begun
        self._store.cp_file(self._temporary, key)
        return str(self._store.info(key)["ETag"])

    def drop(self, partitions: list[str]) -> None:
        """Their rows are gone from the source. Raises StorageError."""
        for name in partitions:
            with s3.refusals(f"{places.S3}{self._key(name)}", StorageError, "removed"):
                self._store.rm_file(self._key(name))
                self._store.rm_file(self._note(name))
            self._known.pop(file_name(name), None)

    def _key(self, partition: str) -> str:
        return f"{self._root}/{file_name(partition)}"

    def _note(self, partition: str) -> str:
        return f"{self._root}/_manifest/{file_name(partition)}.json"

    def _whole(self, done: Done) -> bool:
        found = self._here.get(self._key(done.partition), {})
        return (found.get("size"), found.get("ETag")) == (done.bytes, done.etag)

    def _old(self, path: str, found: dict[str, Any]) -> bool:
        since = found.get("LastModified")
        temporary = path.startswith(f"{self._root}/_tmp/")
        return temporary and since is not None and datetime.now(UTC) - since > OLD


def _parsed(content: bytes) -> Done | None:
    """None for what is no note of ours: it counts for nothing."""
    with suppress(ValueError, ValidationError):
        return Done.model_validate_json(content)
    return None
