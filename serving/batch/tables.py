"""Sources that are tables or queries of DuckDB and PostgreSQL. A partition is a day or month of the time.

Each partition is read in the order of its keys into a Parquet file of ours, which is then scored like any
other: so memory stays flat, and nothing waits in the database while we compute.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import polars as pl

from mainline.errors import DataError, SourceError
from mainline.schema import FeatureTable
from pipeline.text import inert
from serving.batch import columns, files
from serving.batch.places import Database, quote
from serving.batch.records import Partition

By = Literal["day", "month"]
Bounds = tuple[date | None, date | None]  # first and last day; both inside


class Table:
    """What both databases have in common: names are quoted, values are parameters."""

    def __init__(
        self, place: Database, table: FeatureTable, spool: Path,
        *, by: By = "month", bounds: Bounds = (None, None), keep: str = "",
    ) -> None:  # fmt: skip
        """Connects, checks columns and keys. Raises SourceError or DataError."""
        self.label, self._place, self._table = place.label, place, table
        self._spool, self._by, self._keep = spool, by, keep
        spool.mkdir(parents=True, exist_ok=True)
        self._columns()
        self._source = f"(SELECT * FROM {place.relation}{self._where(bounds)}) AS rows"  # noqa: S608
        self._check_keys()

    def partitions(self) -> Iterator[Partition]:
        for first in self._firsts():
            name = str(first) if self._by == "day" else f"{first:%Y-%m}"
            path = self._spool / "partition.parquet"
            self._spooled(self._rows(first, self._after(first)), path)
            columns.check(f"{self.label}, {name}", files.schema(path), self._table)
            frames = partial(files.read, f"{self.label}, {name}", path, self._table)
            sha256, rows = columns.digest(frames())
            yield Partition(name, sha256, rows, frames)
            path.unlink()

    @abstractmethod
    def close(self) -> None:
        """End the connection."""

    @abstractmethod
    def _query(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a small answer. Raises SourceError."""

    @abstractmethod
    def _names(self) -> list[str]:
        """The columns that there are."""

    @abstractmethod
    def _spooled(self, sql: str, path: Path) -> None:
        """The answer as a Parquet file. Raises SourceError or DataError."""

    def _selected(self) -> str:
        return ", ".join(quote(name) for name in columns.wanted(self._table))

    def _columns(self) -> None:
        there = self._names()
        if missing := [name for name in columns.wanted(self._table) if name not in there]:
            why = f"without {', '.join(missing[: columns.SHOWN])}"
            raise DataError(f"{inert(self.label, 200)} cannot be scored", why=why, remedy=columns.REMEDY)

    def _where(self, bounds: Bounds) -> str:
        time, (first, last) = quote(self._table.time.name), bounds
        tests = [f"{time} >= {_day(first)}"] if first else []
        tests += [f"{time} < {_day(last + timedelta(1))}"] if last else []
        null = f"({' AND '.join(tests)}) OR {time} IS NULL" if tests else ""  # a row without time is not lost
        return f" WHERE {null}" if tests else ""

    def _check_keys(self) -> None:
        key, time = quote(self._table.key.name), quote(self._table.time.name)
        counts = f"count(*), count(*) - count({key}), count(*) - count({time})"
        rows, keyless, timeless = self._query(f"SELECT {counts} FROM {self._source}")[0]  # noqa: S608 - quoted
        if not rows:
            raise DataError(f"{inert(self.label, 200)} has no rows", remedy="nothing was scored")
        for name, missing in ((self._table.key.name, keyless), (self._table.time.name, timeless)):
            if missing:
                raise DataError(
                    f"{missing:,} rows of {inert(self.label, 200)} have no {name}",
                    remedy="every row needs its key and its time",
                )
        if self._keep == "first":
            return
        repeated = self._query(
            f"SELECT {key} FROM {self._source} GROUP BY 1 HAVING count(*) > 1 ORDER BY 1 LIMIT 1000"  # noqa: S608
        )
        if repeated:
            raise files.doubled(pl.Series([str(row[0]) for row in repeated]))

    def _rows(self, first: date, after: date) -> str:
        """From one day until before another; with --keep first the earliest row of each key."""
        key, time, names = quote(self._table.key.name), quote(self._table.time.name), self._selected()
        source = self._source
        if self._keep == "first":
            others = ", ".join(quote(name) for name in columns.wanted(self._table))
            place = f"row_number() OVER (PARTITION BY {key} ORDER BY {time}, {others}) AS mainline_place"
            source = f"(SELECT * FROM (SELECT {names}, {place} FROM {source}) AS placed WHERE mainline_place = 1) AS kept"  # noqa: S608, E501
        inside = f"{time} >= {_day(first)} AND {time} < {_day(after)}"
        return f"SELECT {self._cast()} FROM {source} WHERE {inside} ORDER BY {key}"  # noqa: S608 - quoted

    def _cast(self) -> str:
        return self._selected()

    def _firsts(self) -> list[date]:
        time = quote(self._table.time.name)
        start = f"CAST(date_trunc('{self._by}', {time}) AS DATE)"
        found = self._query(f"SELECT DISTINCT {start} FROM {self._source} ORDER BY 1")  # noqa: S608 - quoted
        return [row[0].date() if isinstance(row[0], datetime) else row[0] for row in found]

    def _after(self, first: date) -> date:
        if self._by == "day":
            return first + timedelta(1)
        return date(first.year + first.month // 12, first.month % 12 + 1, 1)


class DuckTable(Table):
    """A table or query of a DuckDB file, read as it was when the run began."""

    def __init__(self, place: Database, *arguments: Any, shared: bool = False, **options: Any) -> None:
        """`shared`: scores go into the same file, so it is opened for writing."""
        self._database = _duckdb(place, read_only=not shared)
        super().__init__(place, *arguments, **options)

    def close(self) -> None:
        self._database.close()

    def _columns(self) -> None:
        """Types too, before anything is written: as a file would have them."""
        super()._columns()
        path = self._spool / "types.parquet"
        self._spooled(f"SELECT {self._selected()} FROM {self._place.relation} LIMIT 0", path)  # noqa: S608
        columns.check(self.label, files.schema(path), self._table)

    def _query(self, sql: str) -> list[tuple[Any, ...]]:
        import duckdb

        try:
            return list(self._database.execute(sql).fetchall())
        except duckdb.Error as error:
            raise refused(self.label, error) from None

    def _names(self) -> list[str]:
        import duckdb

        try:
            self._database.execute(f"SELECT * FROM {self._place.relation} LIMIT 0")  # noqa: S608 - quoted
        except duckdb.Error as error:
            raise refused(self.label, error) from None
        return [column[0] for column in self._database.description or ()]

    def _spooled(self, sql: str, path: Path) -> None:
        target = "'" + str(path).replace("'", "''") + "'"
        self._query(f"COPY ({sql}) TO {target} (FORMAT parquet)")


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
        import psycopg

        try:
            return list(self._connection.execute(sql).fetchall())
        except psycopg.Error as error:
            raise refused(self.label, error) from None

    def _names(self) -> list[str]:
        import psycopg

        try:
            asked = self._connection.execute(f"SELECT * FROM {self._place.relation} LIMIT 0")  # noqa: S608
        except psycopg.Error as error:
            raise refused(self.label, error) from None
        found = {c.name: self._type(c.type_code) for c in asked.description or ()}
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

    def _type(self, oid: int) -> str:
        known = self._connection.adapters.types.get(oid)
        return known.name if known else f"type {oid}"

    def _cast(self) -> str:
        wanted = columns.wanted(self._table).items()
        return ", ".join(f"{self.CAST[column.dtype].format(quote(name))}" for name, column in wanted)

    def _spooled(self, sql: str, path: Path) -> None:
        import psycopg

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


def _day(day: date) -> str:
    """As SQL; `date` writes nothing but digits and dashes. COPY takes no parameters."""
    return f"DATE '{day.isoformat()}'"


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


def connected(place: Database) -> Any:
    """With `RawCursor` a percent sign in a name has no meaning. Raises SourceError."""
    import psycopg

    try:
        connection = psycopg.connect(place.address, cursor_factory=psycopg.RawCursor, connect_timeout=10)
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    except (psycopg.Error, ValueError) as error:
        raise refused(place.label, error) from None
    return connection


def _duckdb(place: Database, *, read_only: bool) -> Any:
    import duckdb

    if not Path(place.address).is_file():
        raise SourceError(f"{inert(place.address, 200)} does not exist", remedy="name a DuckDB file")
    try:
        return duckdb.connect(place.address, read_only=read_only)
    except duckdb.Error as error:
        raise refused(place.label, error) from None


def refused(label: str, error: Exception) -> SourceError:
    """What a database says may hold values: it is shown inert, and short."""
    text = str(error).strip().splitlines()
    return SourceError(
        f"{inert(label, 200)} does not answer, or refuses",
        why=inert(text[0], 300) if text else type(error).__name__,
        remedy="is it there, with that table, and may you read it? Passwords: PGPASSWORD or ~/.pgpass",
    )
