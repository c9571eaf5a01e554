"""Sources that are Parquet files: a file, a folder or an s3:// prefix. A partition is a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from mainline.errors import ConfigError, DataError, SourceError
from mainline.schema import FeatureTable
from pipeline.frames import UNREADABLE
from pipeline.text import inert
from serving.batch import columns, places, s3
from serving.batch.connections import bounded
from serving.batch.places import quote
from serving.batch.progress import say
from serving.batch.records import CHUNK, Partition


class Files:
    """Every Parquet file below a path, or the path itself. Nothing is written to it."""

    def __init__(self, text: str, table: FeatureTable, spool: Path, *, keep: str = "") -> None:
        """Checks schemas and keys. Raises SourceError, ConfigError or DataError."""
        self.label, self._table, self._keep = text.rstrip("/"), table, keep
        find = s3.fetched if places.remote(text) else linked
        self._files = find(text, spool / "files")
        self._drops: dict[str, NDArray[np.int64]] = {}
        rows = 0
        for name, path in self._files.items():
            columns.check(name, schema(name, path), table)
            rows += height(path)
        if not rows:
            raise DataError(f"{inert(text, 200)} has no rows", remedy="nothing was scored")
        self._unique(spool)

    def partitions(self) -> Iterator[Partition]:
        for name, path in self._files.items():
            drop = self._drops.get(name, np.array([], dtype=np.int64))
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
            if drop.size:  # part of what the rows are
                digest.update(drop.tobytes())
            frames = partial(read, name, path, self._table, drop)
            yield Partition(name, digest.hexdigest(), height(path) - drop.size, frames)

    def close(self) -> None:
        """Nothing is held open."""

    def _unique(self, spool: Path) -> None:
        names, key = list(self._files), self._table.key.name
        say(f"looking for a {key} that repeats, in {len(names):,} files")
        try:
            repeated = duplicates([self._files[name] for name in names], key, spool)
        except duckdb.Error as error:
            raise unreadable(self.label, error) from None
        if repeated.is_empty():
            return
        if self._keep != "first":
            keys = repeated["key"].unique(maintain_order=True)
            raise doubled(keys.head(columns.SHOWN).to_list(), keys.len())
        for (index,), rows in repeated.group_by("file"):
            self._drops[names[int(str(index))]] = rows["row"].sort().to_numpy()


def doubled(first: Sequence[str], count: int) -> DataError:
    """`first`: some of the `count` keys."""
    more = f" and {count - len(first):,} more" if count > len(first) else ""
    return DataError(
        f"{count:,} keys are there more than once: {', '.join(map(inert, first))}{more}",
        why="each row is scored once, and is known by its key",
        remedy="correct the input, or take the first row of each: --keep first",
    )


def duplicates(files: Sequence[Path], key: str, spool: Path) -> pl.DataFrame:
    """Rows (`file`, `row`, `key`) whose key an earlier row has; by DuckDB, which needs no memory for it."""
    spool.mkdir(parents=True, exist_ok=True)
    out = spool / "duplicates.parquet"
    order = {str(path): number for number, path in enumerate(files)}
    with bounded(duckdb.connect(), spool) as database:
        database.execute("CREATE TEMP TABLE places (filename VARCHAR, file BIGINT)")
        database.executemany("INSERT INTO places VALUES ($1, $2)", [[n, i] for n, i in order.items()])
        database.execute(
            f"""
            CREATE TEMP TABLE keys AS SELECT {quote(key)} AS key, filename, file_row_number AS row
            FROM read_parquet($1, filename=true, file_row_number=true, hive_partitioning=false,
                              union_by_name=true) WHERE {quote(key)} IS NOT NULL""",  # noqa: S608 - quoted
            [list(order)],
        )
        database.execute(
            """COPY (SELECT file, row, CAST(key AS VARCHAR) AS key FROM (
                 SELECT file, row, key, row_number() OVER (PARTITION BY key ORDER BY file, row) AS place
                 FROM keys JOIN places USING (filename)
                 WHERE key IN (SELECT key FROM keys GROUP BY key HAVING count(*) > 1)
               ) WHERE place > 1 ORDER BY file, row) TO $1 (FORMAT parquet)""",
            [str(out)],
        )
    return pl.read_parquet(out)


def read(
    name: str, path: Path, table: FeatureTable, drop: NDArray[np.int64] | None = None
) -> Iterator[pl.DataFrame]:
    """Typed frames of CHUNK rows, without the rows whose numbers are in `drop`. Raises as `typed` does."""
    start = 0
    wanted = pl.scan_parquet(path, glob=False, hive_partitioning=False).select(list(columns.wanted(table)))
    try:
        for frame in wanted.collect_batches(chunk_size=CHUNK, maintain_order=True, lazy=True):
            kept = frame
            if drop is not None and drop.size:
                inside = drop[(drop >= start) & (drop < start + frame.height)] - start
                kept = frame.filter(~pl.Series(np.isin(np.arange(frame.height), inside)))
            start += frame.height
            if kept.height:
                yield columns.typed(name, kept, table)
    except UNREADABLE as error:
        raise unreadable(name, error) from None


def listed(text: str) -> dict[str, Path]:
    """The Parquet files by their name in the folder."""
    root = Path(text)
    if root.is_file():
        return {root.name: root.resolve()}
    if not root.is_dir():
        raise ConfigError(f"{inert(text, 200)} is neither a file nor a folder", remedy="give one that exists")
    found = {path.relative_to(root).as_posix(): path.resolve() for path in sorted(root.rglob("*.parquet"))}
    files = {name: path for name, path in found.items() if path.is_file() and not places.hidden(name)}
    if not files:
        raise DataError(f"{inert(text, 200)} holds no Parquet file", remedy="files are found by .parquet")
    return files


def linked(text: str, into: Path) -> dict[str, Path]:
    """The same, by links: no reader takes their names for patterns. Raises DataError for one not in UTF-8."""
    into.mkdir(parents=True, exist_ok=True)
    found: dict[str, Path] = {}
    for number, (name, path) in enumerate(listed(text).items()):
        try:
            name.encode()
        except UnicodeEncodeError:
            raise DataError(f"{inert(name, 200)}: its name is not UTF-8", remedy="rename it") from None
        found[name] = into / f"{number}.parquet"
        found[name].symlink_to(path)
    return found


def schema(name: str, path: Path) -> Mapping[str, pl.DataType]:
    """From the footer. Raises SourceError, by that name, for what is no Parquet, or is cut off."""
    try:
        return pl.read_parquet_schema(path)
    except UNREADABLE as error:
        raise unreadable(name, error) from None


def height(path: Path) -> int:
    return int(pl.scan_parquet(path, glob=False, hive_partitioning=False).select(pl.len()).collect().item())


def unreadable(name: str, error: Exception) -> SourceError:
    return SourceError(
        f"{inert(name, 200)} cannot be read as Parquet (truncated, or something else)",
        why=inert(str(error).splitlines()[0] if str(error) else type(error).__name__, 200),
        remedy="write it again; nothing of it was scored",
    )
