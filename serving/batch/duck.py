"""Scores in a DuckDB file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from mainline.errors import DataError, MainlineError, ServiceError
from pipeline.text import inert
from serving.batch.connections import bounded
from serving.batch.database import Tables, twice


class DuckTables(Tables):
    """The file's own lock keeps every other process out, readers too: a second run ends with ServiceError."""

    _database: duckdb.DuckDBPyConnection | None = None

    def _open(self) -> None:
        path = Path(self._place.address)
        try:
            if not self._dry:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._database = bounded(duckdb.connect(str(path)))
            elif path.is_file():
                self._database = bounded(duckdb.connect(str(path), read_only=True))
        except (duckdb.Error, OSError) as error:
            raise self._failed(error) from None

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()

    def _lock(self) -> None:
        """Opening did that."""

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._run("BEGIN TRANSACTION")
        try:
            yield
            self._run("COMMIT")
        except BaseException:
            assert self._database is not None  # noqa: S101 - BEGIN went through it
            with suppress(duckdb.Error):  # one that aborted it already
                self._database.execute("ROLLBACK")
            raise

    def _stage(self, scored: Iterator[pl.DataFrame]) -> None:
        listed = ", ".join(f"{name} {kind}" for name, kind in self.columns.items())
        self._run(f"CREATE OR REPLACE TEMP TABLE mainline_staging ({listed})")
        with tempfile.TemporaryDirectory(prefix="mainline-score-") as folder:
            path = Path(folder) / "rows.parquet"
            for frame in scored:
                frame.select(list(self.columns)).write_parquet(path, compression="uncompressed")
                self._run("INSERT INTO mainline_staging SELECT * FROM read_parquet($1)", (str(path),))

    def _run(self, sql: str, values: tuple[Any, ...] = ()) -> None:
        self._asked(sql, values)

    def _asked(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        if self._database is None:
            raise ServiceError(f"{inert(self._place.address, 200)} does not exist")
        try:
            return list(self._database.execute(sql, values).fetchall())
        except duckdb.ConstraintException:
            raise twice(self._place.table) from None
        except duckdb.Error as error:
            raise self._failed(error) from None

    def _shape(self, relation: str) -> list[str]:
        self._asked(f"SELECT * FROM {relation} LIMIT 0")  # noqa: S608 - quoted
        assert self._database is not None  # noqa: S101 - it answered
        return [f"{column[0]} {str(column[1]).lower()}" for column in self._database.description or ()]

    def _unique(self, table: str) -> list[set[str]]:
        found = self._asked(
            "SELECT constraint_column_names FROM duckdb_constraints() "
            "WHERE constraint_type IN ('UNIQUE', 'PRIMARY KEY') AND database_name = current_database() "
            "AND lower(schema_name) = lower(coalesce(nullif($1, ''), current_schema())) "
            "AND lower(table_name) = lower($2)",
            (self._place.schema, table),
        )
        return [{*columns} for (columns,) in found]

    def _failed(self, error: Exception) -> MainlineError:
        text = inert((str(error).splitlines() or [""])[0], 300)
        if isinstance(error, duckdb.IOException) and "lock" in str(error).lower():
            return ServiceError(
                f"{inert(self._place.address, 200)} is in use by another process",
                why="a DuckDB file has one writer, and no reader meanwhile",
                remedy="when that one has ended, run the same command again",
            )
        if isinstance(error, duckdb.ConversionException):
            return DataError("DuckDB cannot hold a value", why=text)
        return ServiceError(
            f"{inert(self._place.address, 200)} cannot be written", why=text,
            remedy="what was committed stays; the same command goes on from there",
        )  # fmt: skip
