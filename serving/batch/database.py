"""Scores in a table of DuckDB or PostgreSQL, one transaction a partition, and beside it what is finished.

TABLE holds the rows, TABLE_partitions the bookkeeping. Rows are unique by (key, version): whatever happens,
no row can be there twice. One run at a time: PostgreSQL's advisory lock, DuckDB's lock of its file.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import polars as pl

from mainline.errors import ConfigError, DataError, ServiceError
from mainline.schema import FeatureTable
from pipeline.text import inert
from serving.batch.places import Database, qualified
from serving.batch.records import FILE_ONLY, Done

TYPES = {
    "string": "text", "int64": "bigint", "float64": "double precision", "bool": "boolean",
    "date": "date", "datetime": "timestamp",
}  # fmt: skip
SCORES = {
    "binary": {"score": "real", "decision": "boolean"},
    "multiclass": {"score": "real[]", "decision": "text"},
    "regression": {"score": "real"},
}
BOOK = {
    "id": "bigint", "source": "text", "partition": "text", "version": "text", "model": "text",
    "rows": "bigint", "input_sha256": "text", "manifest_sha256": "text", "scored_at": "text",
}  # fmt: skip


class Tables:
    """The scores of one source and version. A context that holds the connection and the lock."""

    def __init__(
        self, place: Database, table: FeatureTable, source: str, version: str, *, dry_run: bool = False
    ) -> None:
        if place.query:
            raise ConfigError("scores are written to a table, not to a query", remedy="?table=NAME")
        self._place, self._source, self._version, self._dry = place, source, version, dry_run
        self._scores = qualified(place.schema, place.table)
        self._book = qualified(place.schema, f"{place.table}_partitions")
        self.columns = {
            "key": TYPES[table.key.dtype], "time": TYPES[table.time.dtype], **SCORES[table.task],
            "model": "text", "version": "text",
        }  # fmt: skip
        self._rows = self.columns | {"partition": "bigint"}

    def __enter__(self) -> Self:
        self._open()
        try:
            if not self._dry:
                self._lock()
                self._create()
            else:
                self._refuse_others()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._close()

    def done(self) -> dict[str, Done]:
        """What is finished of this source and version, by partition."""
        if self._dry and not self._there(self._book):
            return {}
        fields = [name for name in Done.model_fields if name not in FILE_ONLY]
        said = self._asked(
            f"SELECT {', '.join(fields)} FROM {self._book} WHERE source = $1 AND version = $2",  # noqa: S608
            (self._source, self._version),
        )
        rows = [dict(zip(fields, row, strict=True)) for row in said]
        return {row["partition"]: Done.model_validate(row) for row in rows}

    def known(self) -> dict[str, Done]:
        """The same: a transaction leaves nothing by half."""
        return self.done()

    def write(self, scored: Iterator[pl.DataFrame], done: Done) -> None:
        """The partition's rows and its line of the bookkeeping, both or none.

        A key that this source had in another partition moved from there: its partition is scored anew too.
        Raises DataError when a key is there from another source, ServiceError.
        """
        mine = f"SELECT id FROM {self._book} WHERE source = $1 AND version = $2"  # noqa: S608 - quoted
        whose = (self._source, self._version)
        with self._transaction():
            self._stage(scored)
            self._delete([done.partition])
            names = ", ".join(self.columns)
            self._run(
                f"DELETE FROM {self._scores} WHERE version = $2 AND partition IN ({mine}) "  # noqa: S608
                "AND key IN (SELECT key FROM mainline_staging)",
                whose,
            )
            number = self._asked(f"SELECT coalesce(max(id), 0) + 1 FROM {self._book}")[0][0]  # noqa: S608
            said = done.model_dump(mode="json", exclude=FILE_ONLY) | {"id": number}
            places = ", ".join(f"${place}" for place in range(1, len(said) + 1))
            self._run(
                f"INSERT INTO {self._book} ({', '.join(said)}) VALUES ({places})",  # noqa: S608
                tuple(said.values()),
            )
            self._run(
                f"INSERT INTO {self._scores} ({names}, partition) SELECT {names}, {int(number)} "  # noqa: S608
                "FROM mainline_staging"
            )

    def drop(self, partitions: list[str]) -> None:
        """Their rows are gone from the source."""
        with self._transaction():
            self._delete(partitions)

    def _delete(self, partitions: list[str]) -> None:
        for name in partitions:
            values = (self._source, self._version, name)
            mine = "source = $1 AND version = $2 AND partition = $3"
            self._run(
                f"DELETE FROM {self._scores} WHERE partition IN (SELECT id FROM {self._book} WHERE {mine})",  # noqa: S608
                values,
            )
            self._run(f"DELETE FROM {self._book} WHERE {mine}", values)  # noqa: S608 - quoted

    def _create(self) -> None:
        self._refuse_others()
        with self._transaction():
            self._run(
                f"CREATE TABLE IF NOT EXISTS {self._scores} ({_listed(self._rows)}, UNIQUE (key, version))"
            )
            self._run(
                f"CREATE TABLE IF NOT EXISTS {self._book} ({_listed(BOOK)}, PRIMARY KEY (id), "
                "UNIQUE (source, partition, version))"
            )

    def _refuse_others(self) -> None:
        """Raises ConfigError for tables of these names that are not ours: a write could round scores."""
        name = self._place.table
        tables = (
            (self._scores, name, self._rows, {"key", "version"}),
            (self._book, f"{name}_partitions", BOOK, {"source", "partition", "version"}),
        )
        for relation, table, columns, unique in tables:
            if not self._there(relation):
                continue
            empty = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in columns.items())
            found, wanted = self._shape(relation), self._shape(f"(SELECT {empty}) AS ours")
            if found != wanted:
                raise _theirs(relation, f"it has {', '.join(found)}; scores have {', '.join(wanted)}")
            if unique not in self._unique(table):
                raise _theirs(relation, f"UNIQUE ({', '.join(sorted(unique))}) is not there")

    def _there(self, relation: str) -> bool:
        try:
            self._shape(relation)
        except ServiceError:
            return False
        return True

    @abstractmethod
    def _open(self) -> None:
        """Connect. Raises ServiceError."""

    @abstractmethod
    def _close(self) -> None:
        """Disconnect; what was not committed is undone."""

    @abstractmethod
    def _lock(self) -> None:
        """Wait until no other run writes here."""

    @abstractmethod
    def _transaction(self) -> Any:
        """A context: all that is in it, or nothing; database errors become ours."""

    @abstractmethod
    def _stage(self, scored: Iterator[pl.DataFrame]) -> None:
        """The rows as a temporary table `mainline_staging`."""

    @abstractmethod
    def _run(self, sql: str, values: tuple[Any, ...] = ()) -> None:
        """Values for $1, $2…. Raises DataError or ServiceError."""

    @abstractmethod
    def _asked(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a small answer. Raises ServiceError."""

    @abstractmethod
    def _shape(self, relation: str) -> list[str]:
        """Its columns with their types, in order. Raises ServiceError when it is not there."""

    @abstractmethod
    def _unique(self, table: str) -> list[set[str]]:
        """The columns of each of its unique constraints. Needs no right to write."""


def _listed(columns: dict[str, str]) -> str:
    return ", ".join(f"{name} {kind} NOT NULL" for name, kind in columns.items())


def _theirs(relation: str, why: str) -> ConfigError:
    return ConfigError(
        f"{inert(relation, 200)} is there, with other columns than scores have",
        why=inert(why, 400), remedy="name a table that is ours, or a new one",
    )  # fmt: skip


def twice(table: str) -> DataError:
    """The unique constraint held."""
    return DataError(
        f"keys are in {inert(table, 200)} already, with this version, from another source",
        why="each row is scored once by a version; the partition was rolled back",
        remedy="another table, or --source with the name that the rows came from (see TABLE_partitions)",
    )
