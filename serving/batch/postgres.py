"""Scores in PostgreSQL, brought there by COPY."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import polars as pl
import psycopg

from mainline.errors import DataError, ServiceError
from pipeline.text import inert
from serving.batch.connections import connected, type_name
from serving.batch.database import Tables, twice
from serving.batch.places import qualified
from serving.batch.progress import say

# Of all rows, by columns, and checked at once: what a row cannot be there twice for.
UNIQUE = """
SELECT array_agg(a.attname::text) FROM pg_index AS i
CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (number, place)
JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number
WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid AND i.indimmediate
  AND i.indpred IS NULL AND i.indexprs IS NULL AND k.place <= i.indnkeyatts
GROUP BY i.indexrelid"""
BEAT = 0.5  # seconds between two tries for the lock


class PostgresTables(Tables):
    """Another run that writes the same table is waited for."""

    _connection: Any = None

    def _open(self) -> None:
        self._connection = connected(self._place)
        self._connection.isolation_level = None  # the server's: the lock keeps others out
        self._connection.autocommit = True

    def _close(self) -> None:
        self._connection.close()  # and with it the lock

    def _lock(self) -> None:
        name = hashlib.sha256(f"mainline score {self._scores}".encode()).digest()[:8]
        number, said = int.from_bytes(name, "big", signed=True), False
        while not self._asked("SELECT pg_try_advisory_lock($1)", (number,))[0][0]:
            if not said:
                say("another run writes this table: waiting for it")
                said = True
            time.sleep(BEAT)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with self._connection.transaction():
                yield
        except psycopg.Error as error:
            raise self._failed(error) from None

    def _stage(self, scored: Iterator[pl.DataFrame]) -> None:
        listed = ", ".join(f"{name} {kind}" for name, kind in self.columns.items())
        self._run(f"CREATE TEMP TABLE mainline_staging ({listed}) ON COMMIT DROP")
        names = ", ".join(self.columns)
        text = f"COPY mainline_staging ({names}) FROM STDIN (FORMAT csv)"
        with self._connection.cursor() as cursor, cursor.copy(text) as copy:
            for frame in scored:
                copy.write(_csv(frame.select(list(self.columns))))
        self._run("ANALYZE mainline_staging")
        # Of a table filled a moment ago the planner knows nothing: it would compare all rows with all.
        self._run("SET LOCAL enable_nestloop = off")

    def _run(self, sql: str, values: tuple[Any, ...] = ()) -> None:
        try:
            self._connection.execute(sql, values)
        except psycopg.errors.UniqueViolation:
            raise twice(self._place.table) from None
        except psycopg.Error as error:
            raise self._failed(error) from None

    def _asked(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return list(self._connection.execute(sql, values).fetchall())
        except psycopg.Error as error:
            raise self._failed(error) from None

    def _shape(self, relation: str) -> list[str]:
        try:
            asked = self._connection.execute(f"SELECT * FROM {relation} LIMIT 0")  # noqa: S608 - quoted
        except psycopg.Error as error:
            raise self._failed(error) from None
        columns = asked.description or ()
        return [f"{column.name} {type_name(self._connection, column.type_code)}" for column in columns]

    def _unique(self, table: str) -> list[set[str]]:
        found = self._asked(UNIQUE, (qualified(self._place.schema, table),))
        return [{*columns} for (columns,) in found]

    def _failed(self, error: psycopg.Error) -> DataError | ServiceError:
        text = inert((str(error).splitlines() or [""])[0], 300)
        if isinstance(error, psycopg.DataError):
            return DataError(
                "PostgreSQL cannot hold a value", why=text, remedy="correct the row's key or time"
            )
        return ServiceError(
            f"the database refuses, or went away, at {inert(self._place.label, 200)}", why=text,
            remedy="what was committed stays; the same command goes on from there",
        )  # fmt: skip


def _csv(frame: pl.DataFrame) -> bytes:
    """As COPY reads it: lists as {…}; nothing here is null."""
    lists = [
        (pl.lit("{") + pl.col(name).cast(pl.List(pl.String)).list.join(",") + pl.lit("}")).alias(name)
        for name, kind in frame.schema.items()
        if isinstance(kind, pl.List)
    ]
    return frame.with_columns(lists).write_csv(include_header=False, quote_style="non_numeric").encode()
