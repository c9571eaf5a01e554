"""Rows from a table or query of PostgreSQL, brought here by COPY."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import psycopg

from mainline.errors import DataError
from pipeline.text import inert
from serving.batch import columns
from serving.batch.connections import connected, refused, type_name
from serving.batch.places import Database, quote
from serving.batch.tables import Table


class PostgresTable(Table):
    """A table or query of PostgreSQL, all of it read in one transaction that sees one state."""

    # As CSV has them, by the server's type: what is not here was re-typed, and is refused.
    TYPES: ClassVar = {
        "string": ("text", "varchar", "bpchar", "name", "uuid"), "int64": ("int2", "int4", "int8"),
        "float64": ("float4", "float8", "numeric", "int2", "int4", "int8"), "bool": ("bool",),
        "date": ("date",), "datetime": ("timestamp",),
    }  # fmt: skip
    CAST: ClassVar = {
        "string": "{}::text", "int64": "{}::int8", "float64": "{}::float8", "bool": "{}::int",
        "date": "to_char({}, 'YYYY-MM-DD')", "datetime": "to_char({}, 'YYYY-MM-DD HH24:MI:SS.US')",
    }  # fmt: skip
    READ: ClassVar = {
        "string": pl.String(), "int64": pl.Int64(), "float64": pl.Float64(), "bool": pl.Int8(),
        "date": pl.String(), "datetime": pl.String(),
    }  # fmt: skip

    def __init__(self, place: Database, *arguments: Any, **options: Any) -> None:
        self._connection = connected(place)
        self._connection.read_only = True
        super().__init__(place, *arguments, **options)

    def close(self) -> None:
        self._connection.close()

    def _query(self, sql: str) -> list[tuple[Any, ...]]:
        try:
            return list(self._connection.execute(sql).fetchall())
        except psycopg.Error as error:
            raise refused(self.label, error) from None

    def _names(self) -> list[str]:
        try:
            asked = self._connection.execute(f"SELECT * FROM {self._place.relation} LIMIT 0")  # noqa: S608
        except psycopg.Error as error:
            raise refused(self.label, error) from None
        found = {c.name: type_name(self._connection, c.type_code) for c in asked.description or ()}
        wrong = [
            f"{name} is {inert(found[name])}, should be {column.dtype}"
            for name, column in columns.wanted(self._table).items()
            if name in found and found[name] not in self.TYPES[column.dtype]
        ]
        if wrong:
            raise DataError(
                f"{inert(self.label, 200)} cannot be scored",
                why="; ".join(wrong[: columns.SHOWN]), remedy=columns.REMEDY,
            )  # fmt: skip
        return list(found)

    def _cast(self) -> str:
        wanted = columns.wanted(self._table).items()
        return ", ".join(f"{self.CAST[column.dtype].format(quote(name))}" for name, column in wanted)

    def _spooled(self, sql: str, path: Path) -> None:
        aside = path.with_suffix(".csv")
        try:
            with (
                aside.open("wb") as file,
                self._connection.cursor() as cursor,
                cursor.copy(f"COPY ({sql}) TO STDOUT (FORMAT csv)") as copy,
            ):
                for part in copy:
                    file.write(part)
            self._parquet(aside, path)
        except psycopg.Error as error:
            raise refused(self.label, error) from None
        finally:
            aside.unlink(missing_ok=True)

    def _parquet(self, aside: Path, path: Path) -> None:
        wanted = columns.wanted(self._table)
        types = {name: self.READ[column.dtype] for name, column in wanted.items()}
        rows = pl.scan_csv(
            aside,
            has_header=False,
            schema=types,
            glob=False,
            quote_char='"',
        )
        made = [_parsed(name, column.dtype) for name, column in wanted.items()]
        try:
            rows.select(made).sink_parquet(path)
        except pl.exceptions.PolarsError as error:
            why = inert(str(error).splitlines()[0], 200)
            raise DataError(f"{inert(self.label, 200)} holds a value that cannot be read", why=why) from None


def _parsed(name: str, dtype: str) -> pl.Expr:
    match dtype:
        case "bool":
            return pl.col(name).cast(pl.Boolean)
        case "date":
            return pl.when(pl.col(name) != "").then(pl.col(name)).str.to_date("%Y-%m-%d")
        case "datetime":
            text = pl.when(pl.col(name) != "").then(pl.col(name))
            return text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us")
        case "string":
            return pl.col(name).fill_null("")  # to the model the same as a null; no key is null by now
        case _:
            return pl.col(name)
