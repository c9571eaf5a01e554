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
from typing import Any, Literal

from mainline.errors import DataError
from mainline.schema import FeatureTable
from pipeline.text import inert
from serving.batch import columns, files
from serving.batch.places import Database, quote
from serving.batch.records import Partition

By = Literal["day", "month"]
LAST = date(9999, 1, 1)  # Python's calendar ends with that year; a month has one after it
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
        self._check_rows()
        if keep != "first":
            self._check_keys()

    def partitions(self) -> Iterator[Partition]:
        for first in self._firsts():
            name = str(first) if self._by == "day" else f"{first:%Y-%m}"
            path = self._spool / "partition.parquet"
            self._spooled(self._rows(first, self._after(first)), path)
            shown = f"{self.label}, {name}"
            columns.check(shown, files.schema(shown, path), self._table)
            frames = partial(files.read, shown, path, self._table)
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

    def _check_rows(self) -> None:
        key, time = self._table.key.name, self._table.time.name
        far = f"{quote(time)} < {_day(date.min)} OR {quote(time)} >= {_day(LAST)}"  # so are infinite ones
        tests = {
            f"no {key}": f"{quote(key)} IS NULL",
            f"no {time}": f"{quote(time)} IS NULL",
            f"a {time} before the year 1, after {LAST.year - 1}, or infinite": far,
        }
        counts = ", ".join(["count(*)", *(f"count(CASE WHEN {test} THEN 1 END)" for test in tests.values())])
        rows, *found = self._query(f"SELECT {counts} FROM {self._source}")[0]  # noqa: S608 - quoted
        if not rows:
            raise DataError(f"{inert(self.label, 200)} has no rows", remedy="nothing was scored")
        for words, number in zip(tests, found, strict=True):
            if number:
                raise DataError(
                    f"{number:,} rows of {inert(self.label, 200)} have {words}",
                    remedy="every row needs its key and its time; leave others out: ?query=SELECT… WHERE…",
                )

    def _check_keys(self) -> None:
        key = quote(self._table.key.name)
        repeated = self._query(
            f"SELECT {key}, count(*) OVER () FROM {self._source} GROUP BY 1 HAVING count(*) > 1 "  # noqa: S608
            f"ORDER BY 1 LIMIT {columns.SHOWN}"
        )
        if repeated:
            raise files.doubled([str(row[0]) for row in repeated], repeated[0][1])

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


def _day(day: date) -> str:
    """As SQL; `date` writes nothing but digits and dashes. COPY takes no parameters."""
    return f"DATE '{day.isoformat()}'"
