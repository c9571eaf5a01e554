"""Predictions by day on disk, so that memory holds some days, or a part of one, and never the whole log."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from monitoring import disk
from monitoring.reference import AT
from monitoring.tallies import DAY

HELD_ROWS = 100_000  # before they are written
DAYS, PARTS = "days", "parts"  # folders
PART = "_part"
STRAYS = 3  # newest days that hold fewer rows in all, or a smaller share of a usual day's, are errors
STRAY_ANSWERS, STRAY_ROWS = 0.01, 0.1  # of the service's clock; of the rows' times, which callers give


@dataclass(frozen=True, slots=True)
class Group:
    """Some whole days; or a part of one that is large, which has all rows of its keys."""

    days: tuple[date, ...]
    folders: tuple[Path, ...]


@dataclass
class Stage:
    """`folder` holds days/<day>/<n>.parquet; `rows` by day, `answered` by that of the answer (UTC)."""

    folder: Path
    key: str
    rows: dict[date, int] = field(default_factory=dict)
    answered: dict[date, int] = field(default_factory=dict)

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
            write(rows.drop(DAY), self.folder / DAYS / str(day), number)
            self.rows[day] = self.rows.get(day, 0) + rows.height
        for day, rows in together[AT].dt.date().drop_nulls().value_counts().iter_rows():
            self.answered[day] = self.answered.get(day, 0) + rows

    def newest_whole_day(self) -> date:
        """The last day that is over, by the answers' own days: rows may be of days to come.

        By the rows' where no answer has a day, or where answers came long after (a replay). Needs a row.
        """
        by_answers = _whole(self.answered, STRAY_ANSWERS) if self.answered else None
        if by_answers and any(abs((day - by_answers).days) <= 1 for day in self.rows):
            return by_answers
        return _whole(self.rows, STRAY_ROWS)

    def groups(self, first: date, last: date) -> list[Group]:
        """The rows of that span in groups of about HELD_ROWS, ordered by day."""
        found: list[Group] = []
        held: list[date] = []
        size = 0
        for day in sorted(day for day in self.rows if first <= day <= last):
            if held and size + self.rows[day] > HELD_ROWS:
                found.append(self._whole_days(held))
                held, size = [], 0
            if self.rows[day] > HELD_ROWS:
                found += [Group((day,), (folder,)) for folder in self._divided(day)]
            else:
                held.append(day)
                size += self.rows[day]
        return [*found, self._whole_days(held)] if held else found

    def _whole_days(self, days: list[date]) -> Group:
        return Group(tuple(days), tuple(self.folder / DAYS / str(day) for day in days))

    def _divided(self, day: date) -> list[Path]:
        """The folders of a large day's parts, by a hash of the key; made the first time."""
        whole, parts = self.folder / DAYS / str(day), self.folder / PARTS / str(day)
        number = pl.col(self.key).hash(seed=1) % -(-self.rows[day] // HELD_ROWS)
        for count, file in enumerate(sorted(whole.glob("*.parquet"))):
            rows = pl.read_parquet(file, glob=False).with_columns(number.alias(PART))
            for (value,), some in rows.partition_by(PART, as_dict=True, maintain_order=True).items():
                write(some.drop(PART), parts / f"{value:06}", count)
            file.unlink()
        return sorted(parts.iterdir())

    def read(self, group: Group, columns: list[str] | None = None) -> pl.DataFrame:
        """Its rows, in the order in which they were answered; or only some columns."""
        files = [file for folder in group.folders for file in sorted(folder.glob("*.parquet"))]
        return pl.concat([pl.read_parquet(file, columns=columns, glob=False) for file in files])


def write(frame: pl.DataFrame, folder: Path, number: int) -> Path:
    """The file, one of many in `folder`. Raises StorageError, OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{number:06d}.parquet"
    try:
        frame.write_parquet(file, compression="lz4")
    except pl.exceptions.PolarsError as error:  # of our own rows only the disk can refuse any
        raise disk.no_room(error) from None
    return file


def _whole(rows: dict[date, int], share: float) -> date:
    """The newest day but strays, when another follows it; else the day before, as that one may go on."""
    needed = min(max(STRAYS, share * _usual(rows)), sum(rows.values()))
    newest, seen = date.max, 0
    for newest in sorted(rows, reverse=True):
        seen += rows[newest]
        if seen >= needed:
            break
    over = any((day - newest).days == 1 for day in rows)
    return newest if over or newest == min(rows) else newest - timedelta(days=1)


def _usual(rows: dict[date, int]) -> int:
    """Rows of the day on which half of all rows lie in days that have no more."""
    half, seen = sum(rows.values()) / 2, 0
    for number in sorted(rows.values()):
        seen += number
        if seen >= half:
            return number
    return 0
