"""A source and a sink, by the places that the caller named; modules that only some need are imported then."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from mainline.errors import ConfigError
from mainline.schema import FeatureTable
from pipeline.text import inert
from serving.batch import places
from serving.batch.files import Files
from serving.batch.folder import Folder
from serving.batch.places import Database, Place
from serving.batch.running import Sink, Source
from serving.batch.tables import LAST, By


@dataclass(frozen=True, slots=True)
class Choice:
    """How a table is cut into partitions, its first and last day, and what becomes of repeated keys."""

    by: By = "month"
    since: date | None = None
    until: date | None = None
    keep: str = ""

    @classmethod
    def parse(cls, by: str, since: str | None, until: str | None, keep: str) -> Choice:
        """Raises ConfigError."""
        first, last = _day(since, "--since"), _day(until, "--until")
        for name, day in (("--since", first), ("--until", last)):
            if day and day >= LAST:
                raise ConfigError(f"{name} is {day}", remedy=f"name a day before {LAST}; without {name}: all")
        if first and last and first > last:
            raise ConfigError(f"--since {first} is after --until {last}", remedy="both days are inside")
        return cls("day" if by == "day" else "month", first, last, keep)

    @property
    def everything(self) -> bool:
        return not (self.since or self.until)


def _day(text: str | None, name: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise ConfigError(
            f"{name} is {inert(text or '')!r}, not a day", remedy="write it as YYYY-MM-DD"
        ) from None


def threads(text: str | None) -> int:
    """How many score at once; 0, for all cores, when nothing was said. Raises ConfigError."""
    if not text:
        return 0
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise ConfigError(
            f"--threads is {inert(text)!r}", why="at least one thread does the work, and 9,999 at most",
            remedy="give a number from 1, or leave --threads out: all cores",
        )  # fmt: skip
    return int(text)


def month(text: str, spool: Path) -> Source:
    """Raises ConfigError, SourceError or DataError."""
    from serving.batch.month import MonthOf

    return MonthOf(text, spool)


def source(given: Place, table: FeatureTable, spool: Path, choice: Choice, *, shared: bool = False) -> Source:
    """Checked. `shared`: scores go into the same DuckDB file. Raises SourceError, ConfigError, DataError."""
    if isinstance(given, str):
        return Files(given, table, spool, keep=choice.keep)
    bounds = (choice.since, choice.until)
    if given.kind == "postgresql":
        from serving.batch.postgres_table import PostgresTable

        return PostgresTable(given, table, spool, by=choice.by, bounds=bounds, keep=choice.keep)
    from serving.batch.duck_table import DuckTable

    return DuckTable(given, table, spool, by=choice.by, bounds=bounds, keep=choice.keep, shared=shared)


def shared(given: Place | None, out: Place, *, dry_run: bool) -> bool:
    """Whether both are tables of one DuckDB file, which has a single writer."""
    both = isinstance(given, Database) and isinstance(out, Database) and given.kind == out.kind == "duckdb"
    if not both or dry_run:
        return False
    assert isinstance(given, Database) and isinstance(out, Database)  # noqa: S101 - said above
    return Path(out.address).resolve() == Path(given.address).resolve()


def sink(
    out: Place, table: FeatureTable, label: str, version: str, spool: Path, *, dry_run: bool = False
) -> Sink:
    """Opened by its context. `label`: of the source. Raises ConfigError."""
    if isinstance(out, str):
        if places.remote(out):
            from serving.batch.bucket import Bucket

            return Bucket(out, label, version, spool, dry_run=dry_run)
        return Folder(Path(out), label, version, dry_run=dry_run)
    if out.kind == "duckdb":
        from serving.batch.duck import DuckTables

        return DuckTables(out, table, label, version, dry_run=dry_run)
    from serving.batch.postgres import PostgresTables

    return PostgresTables(out, table, label, version, dry_run=dry_run)
