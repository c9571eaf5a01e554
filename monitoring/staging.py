"""Predictions by day on disk, so that memory holds some days and never the whole log."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import polars as pl

from monitoring import observed
from monitoring.observed import Observed
from monitoring.reference import Reference
from monitoring.tallies import DAY

HELD_ROWS = 200_000  # before they are written
DAYS, OUTCOMES = "days", "outcomes"


@dataclass
class Stage:
    """`folder` holds days/<day>/<n>.parquet; `rows` by day."""

    folder: Path
    rows: dict[date, int] = field(default_factory=dict)

    def fill(self, batches: Iterable[pl.DataFrame], time: str, progress: Callable[[int], None]) -> None:
        """Take every batch; `progress` is called with the rows so far."""
        held: list[pl.DataFrame] = []
        number = done = 0
        for batch in batches:
            held.append(batch.with_columns(pl.col(time).cast(pl.Date).alias(DAY)))
            done += batch.height
            if sum(one.height for one in held) >= HELD_ROWS:
                self._write(held, number)
                held, number = [], number + 1
                progress(done)
        if held:
            self._write(held, number)
            progress(done)

    def _write(self, held: list[pl.DataFrame], number: int) -> None:
        together = pl.concat(held)
        for (day,), rows in together.partition_by(DAY, as_dict=True, maintain_order=True).items():
            folder = self.folder / DAYS / str(day)
            folder.mkdir(parents=True, exist_ok=True)
            rows.drop(DAY).write_parquet(folder / f"{number:06d}.parquet", compression="lz4")
            self.rows[day] = self.rows.get(day, 0) + rows.height

    def days(self, first: date, last: date) -> list[list[date]]:
        """The days of that span in groups of about HELD_ROWS rows."""
        groups: list[list[date]] = [[]]
        size = 0
        for day in sorted(day for day in self.rows if first <= day <= last):
            if groups[-1] and size + self.rows[day] > HELD_ROWS:
                groups.append([])
                size = 0
            groups[-1].append(day)
            size += self.rows[day]
        return [group for group in groups if group]

    def read(self, days: list[date]) -> pl.DataFrame:
        """All rows of these days, in the order in which they were answered."""
        files = [file for day in days for file in sorted((self.folder / DAYS / str(day)).glob("*.parquet"))]
        return pl.concat([pl.read_parquet(file, glob=False) for file in files])


def observe(
    stage: Stage,
    labels: pl.DataFrame | None,
    reference: Reference,
    first: date,
    last: date,
    known_by: datetime | None = None,
    anew: pl.DataFrame | None = None,
) -> Observed:
    """What the staged rows of the days from `first` to `last` say, some days in memory at a time."""
    parts = []
    ends: list[tuple[date, date, Path]] = []
    (stage.folder / OUTCOMES).mkdir(parents=True, exist_ok=True)
    for number, days in enumerate(stage.days(first, last)):
        part = observed.part(stage.read(days), labels, reference, known_by, anew)
        file = stage.folder / OUTCOMES / f"{number:06d}.parquet"
        part.outcomes.write_parquet(file, compression="lz4")
        ends.append((days[0], days[-1], file))
        parts.append(part.without_rows())

    def within(start: date, end: date) -> pl.DataFrame:
        inside = pl.col(DAY).is_between(start, end)
        some = [file for low, high, file in ends if low <= end and high >= start]
        read = [pl.read_parquet(file, glob=False).filter(inside) for file in some]
        return pl.concat(read) if read else observed.no_outcomes(reference)

    return observed.gathered(parts, within, labels.height if labels is not None else 0)
