"""Rows from a table or query of a DuckDB file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from mainline.schema import FeatureTable
from serving.batch import columns, files
from serving.batch.connections import readable, refused
from serving.batch.places import Database
from serving.batch.tables import Table


class DuckTable(Table):
    """A table or query of a DuckDB file, read as it was when the run began."""

    def __init__(
        self, place: Database, table: FeatureTable, spool: Path, *, shared: bool = False, **options: Any
    ) -> None:
        """`shared`: scores go into the same file, so it is opened for writing."""
        self._database = readable(place, spool, read_only=not shared)
        super().__init__(place, table, spool, **options)

    def close(self) -> None:
        self._database.close()

    def _columns(self) -> None:
        """Types too, before anything is written: as a file would have them."""
        super()._columns()
        path = self._spool / "types.parquet"
        self._spooled(f"SELECT {self._selected()} FROM {self._place.relation} LIMIT 0", path)  # noqa: S608
        columns.check(self.label, files.schema(self.label, path), self._table)

    def _query(self, sql: str) -> list[tuple[Any, ...]]:
        try:
            return list(self._database.execute(sql).fetchall())
        except duckdb.Error as error:
            raise refused(self.label, error) from None

    def _names(self) -> list[str]:
        try:
            self._database.execute(f"SELECT * FROM {self._place.relation} LIMIT 0")  # noqa: S608 - quoted
        except duckdb.Error as error:
            raise refused(self.label, error) from None
        return [column[0] for column in self._database.description or ()]

    def _spooled(self, sql: str, path: Path) -> None:
        target = "'" + str(path).replace("'", "''") + "'"
        self._query(f"COPY ({sql}) TO {target} (FORMAT parquet)")
