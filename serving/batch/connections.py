"""Connections to databases, and what they refuse. DuckDB runs in our process: its memory is bounded."""

from __future__ import annotations

from pathlib import Path

import duckdb
import psycopg

from mainline.errors import SourceError
from pipeline.text import inert
from serving.batch.places import Database

MEMORY, THREADS = "256MB", 2  # for DuckDB; what does not fit goes to the disk, and threads need 125 MB each


def bounded(database: duckdb.DuckDBPyConnection, spool: Path | None = None) -> duckdb.DuckDBPyConnection:
    """With a limit of memory. `spool`: what does not fit; without, it lies beside the database's file."""
    database.execute(f"SET threads = {THREADS}")
    database.execute(f"SET memory_limit = '{MEMORY}'")
    if spool is not None:
        database.execute("SET temp_directory = $1", [str(spool / "duckdb")])
    return database


def readable(place: Database, spool: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """A DuckDB file that is there. Raises SourceError."""
    if not Path(place.address).is_file():
        raise SourceError(f"{inert(place.address, 200)} does not exist", remedy="name a DuckDB file")
    try:
        return bounded(duckdb.connect(place.address, read_only=read_only), spool)
    except duckdb.Error as error:
        raise refused(place.label, error) from None


def connected(place: Database) -> psycopg.Connection:
    """With `RawCursor` a percent sign in a name has no meaning. Raises SourceError."""
    try:
        connection = psycopg.connect(place.address, cursor_factory=psycopg.RawCursor, connect_timeout=10)
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    except (psycopg.Error, ValueError) as error:
        raise refused(place.label, error) from None
    return connection


def type_name(connection: psycopg.Connection, oid: int) -> str:
    """Of a column: float8, or float8[] for a list of them."""
    known = connection.adapters.types.get(oid)
    if known is None:
        return f"type {oid}"
    return known.name if known.oid == oid else f"{known.name}[]"


def refused(label: str, error: Exception) -> SourceError:
    """What a database says may hold values: it is shown inert, and short."""
    text = str(error).strip().splitlines()
    return SourceError(
        f"{inert(label, 200)} does not answer, or refuses",
        why=inert(text[0], 300) if text else type(error).__name__,
        remedy="is it there, with that table, and may you read it? Passwords: PGPASSWORD or ~/.pgpass",
    )
