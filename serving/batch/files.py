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
from pipeline.text import inert
from serving.batch import columns
from serving.batch.places import quote
from serving.batch.records import CHUNK, Partition

S3 = {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 2}}
S3_REMEDY = "check the address, the network, and AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"
MEMORY = "1GB"  # of DuckDB, while it looks for keys that repeat; more goes to the disk


class Files:
    """Every Parquet file below a path, or the path itself. Nothing is written to it."""

    def __init__(self, text: str, table: FeatureTable, spool: Path, *, keep: str = "") -> None:
        """Checks schemas and keys. Raises SourceError, ConfigError or DataError."""
        self.label, self._table, self._keep = text.rstrip("/"), table, keep
        self._files = fetched(text, spool) if text.startswith("s3://") else listed(text)
        self._drops: dict[str, NDArray[np.int64]] = {}
        rows = 0
        for name, path in self._files.items():
            columns.check(name, schema(path), table)
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
        names = list(self._files)
        repeated = duplicates([self._files[name] for name in names], self._table.key.name, spool)
        if repeated.is_empty():
            return
        if self._keep != "first":
            raise doubled(repeated["key"].unique(maintain_order=True))
        for (index,), rows in repeated.group_by("file"):
            self._drops[names[int(str(index))]] = rows["row"].sort().to_numpy()


def doubled(keys: pl.Series) -> DataError:
    shown = ", ".join(inert(str(key)) for key in keys.head(columns.SHOWN))
    more = f" and {keys.len() - columns.SHOWN:,} more" if keys.len() > columns.SHOWN else ""
    return DataError(
        f"{keys.len():,} keys are there more than once: {shown}{more}",
        why="each row is scored once, and is known by its key",
        remedy="correct the input, or take the first row of each: --keep first",
    )


def duplicates(files: Sequence[Path], key: str, spool: Path) -> pl.DataFrame:
    """Rows (`file`, `row`, `key`) whose key an earlier row has; by DuckDB, which needs no memory for it."""
    spool.mkdir(parents=True, exist_ok=True)
    out = spool / "duplicates.parquet"
    order = {str(path): number for number, path in enumerate(files)}
    with duckdb.connect() as database:
        database.execute(f"SET memory_limit='{MEMORY}'")
        database.execute("SET temp_directory = $1", [str(spool / "duckdb")])
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
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(name, error) from None


def listed(text: str) -> dict[str, Path]:
    """The Parquet files by their name in the folder. None that starts with . or _ is data."""
    root = Path(text)
    if root.is_file():
        return {root.name: root.resolve()}
    if not root.is_dir():
        raise ConfigError(f"{inert(text, 200)} is neither a file nor a folder", remedy="give one that exists")
    found = {path.relative_to(root).as_posix(): path.resolve() for path in sorted(root.rglob("*.parquet"))}
    files = {name: path for name, path in found.items() if path.is_file() and not _hidden(name)}
    if not files:
        raise DataError(f"{inert(text, 200)} holds no Parquet file", remedy="files are found by .parquet")
    return files


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in name.split("/"))


def fetched(text: str, spool: Path) -> dict[str, Path]:
    """The files of a prefix, copied here: their keys and digests are looked at before any is scored."""
    import s3fs  # type: ignore[import-untyped]  # a second that only s3:// pays
    from botocore.exceptions import BotoCoreError

    store = s3fs.S3FileSystem(config_kwargs=S3, use_listings_cache=False, skip_instance_cache=True)
    root, into = text.removeprefix("s3://").rstrip("/"), spool / "s3"
    try:
        found = [root] if root.endswith(".parquet") else sorted(store.find(root))
        names = {
            path.removeprefix(f"{root}/") if path != root else path.rsplit("/", 1)[-1]: path for path in found
        }
        wanted = {
            name: path for name, path in names.items() if name.endswith(".parquet") and not _hidden(name)
        }
        for number, path in enumerate(wanted.values()):
            into.mkdir(parents=True, exist_ok=True)
            store.get_file(path, str(into / f"{number}.parquet"))
    except (OSError, BotoCoreError) as error:
        raise SourceError(
            f"{inert(text, 200)} cannot be read", why=inert(str(error), 300), remedy=S3_REMEDY
        ) from None
    if any(".." in name.split("/") for name in wanted):
        raise SourceError(f"{inert(text, 200)} holds a name with ..", remedy="rename that object")
    if not wanted:
        raise DataError(f"{inert(text, 200)} holds no Parquet file", remedy="files are found by .parquet")
    return {name: into / f"{number}.parquet" for number, name in enumerate(wanted)}


def schema(path: Path) -> Mapping[str, pl.DataType]:
    """From the footer. Raises SourceError for what is no Parquet, or is cut off."""
    try:
        return pl.read_parquet_schema(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(str(path), error) from None


def height(path: Path) -> int:
    return int(pl.scan_parquet(path, glob=False, hive_partitioning=False).select(pl.len()).collect().item())


def unreadable(name: str, error: Exception) -> SourceError:
    return SourceError(
        f"{inert(name, 200)} cannot be read as Parquet (truncated, or something else)",
        why=inert(str(error).splitlines()[0] if str(error) else type(error).__name__, 200),
        remedy="write it again; nothing of it was scored",
    )
