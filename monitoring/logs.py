"""The log of predictions, in batches that fit into memory; what cannot be used is counted, never a crash.

JSON lines as the service writes them, or Parquet with the same columns (features in a struct, or each a
column). Held as strictly as the service holds a request: the same types, no feature too many or too few.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from mainline.schema import FeatureTable
from monitoring import places
from monitoring.lines import Lines
from monitoring.reading import Found
from monitoring.rows import Rows
from monitoring.slices import Slices
from monitoring.tables import Tables


@dataclass
class Reader:
    """Reads `place` for one model; `found` fills while `batches` runs. `version`: as in `rows.Rows`."""

    table: FeatureTable
    model: str
    version: str | None = None
    found: Found = field(default_factory=Found)

    def __post_init__(self) -> None:
        self._rows = Rows(self.table, self.model, self.version, self.found)
        self._lines, self._tables = Lines(self._rows), Tables(self._rows)

    def batches(self, place: str) -> Iterator[pl.DataFrame]:
        """Rows with AT, VERSION, SCORE, key, time and features.

        The service may set a file aside while we read: what has got another name is found the second time.

        Raises DataError: no such place; SourceError: a store that does not answer or refuses.
        """
        seen: set[object] = set()
        with Slices() as slices:
            for name in places.twice(place):
                try:
                    same = name if name.startswith(places.S3) else Path(name).stat().st_ino
                    if same in seen:
                        continue
                    with places.local(name) as path:
                        yield from (rows for rows in self._read(name, path, slices) if rows.height)
                    seen.add(same)
                except FileNotFoundError:  # set aside, or forgotten, since it was listed
                    continue

    def _read(self, name: str, path: Path, slices: Slices) -> Iterator[pl.DataFrame]:
        self._rows.file = name.rpartition("/")[2]
        return self._tables.batches(path, slices) if name.endswith(".parquet") else self._lines.batches(path)
