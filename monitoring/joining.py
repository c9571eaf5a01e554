"""Labels and the keys of staged rows, met on disk: both by buckets of their key, then by the rows' days.

So memory holds a bucket of each, or the labels of some days, and never all labels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import polars as pl

from mainline.schema import FeatureTable
from monitoring import labels as labelling
from monitoring import observed
from monitoring.observed import Observed
from monitoring.reference import Reference
from monitoring.staging import Stage, write
from monitoring.tallies import DAY

BUCKETS = 64
LABELS, KEYS, MET, OUTCOMES = "labels", "keys", "met", "outcomes"  # folders
BUCKET, GROUP = "_bucket", "_group"


@dataclass
class Joined:
    """The labels of the rows that `stage` has from `first` to `last`.

    `labels`: how many keys have one, in all; `unknown`: of those, how many have no row; `contradicting`: keys
    with labels that differ, of which none is the newest; they have no label.
    """

    stage: Stage
    table: FeatureTable
    first: date
    last: date
    labels: int = 0
    unknown: int = 0
    contradicting: int = 0
    _days: list[list[date]] = field(default_factory=list)

    @classmethod
    def of(
        cls, batches: Iterable[pl.DataFrame], stage: Stage, table: FeatureTable, first: date, last: date
    ) -> Joined:
        """`batches`: labels in the order in which they are told, as `labels.normal` gives them."""
        made = cls(stage, table, first, last, _days=stage.days(first, last))
        for number, batch in enumerate(batches):
            made._spread(batch, LABELS, number)
        for number, days in enumerate(made._days):
            rows = stage.read(days, [table.key.name, table.time.name])
            keys = rows.select(table.key.name, pl.lit(number, pl.UInt32).alias(GROUP)).unique()
            made._spread(keys, KEYS, number)
        for bucket in range(BUCKETS):
            made._meet(bucket)
        return made

    def read(self, days: list[date]) -> pl.DataFrame:
        """The labels of the keys of these days' rows, a row a key; other days' may be among them."""
        wanted = set(days)
        groups = [number for number, some in enumerate(self._days) if wanted & set(some)]
        files = [file for group in groups for file in _files(self._folder / MET / str(group))]
        return self._concatenated(files).unique(maintain_order=True)

    @property
    def _folder(self) -> Path:
        return self.stage.folder

    def _spread(self, frame: pl.DataFrame, kind: str, number: int) -> None:
        bucket = (pl.col(self.table.key.name).hash(seed=0) % BUCKETS).alias(BUCKET)
        for (value,), some in frame.with_columns(bucket).partition_by(BUCKET, as_dict=True).items():
            write(some.drop(BUCKET), self._folder / kind / str(value), number)

    def _meet(self, bucket: int) -> None:
        told = _files(self._folder / LABELS / str(bucket))
        if not told:
            return
        known, contradicting = labelling.distinct(self._concatenated(told), self.table)
        self.labels += known.height
        self.contradicting += contradicting
        asked = _files(self._folder / KEYS / str(bucket))
        if not asked:
            self.unknown += known.height
            return
        key = self.table.key.name
        met = self._concatenated(asked).join(known, on=key)
        self.unknown += known.height - met[key].n_unique()
        for (group,), some in met.partition_by(GROUP, as_dict=True).items():
            write(some.drop(GROUP), self._folder / MET / str(group), bucket)

    def _concatenated(self, files: Iterable[Path]) -> pl.DataFrame:
        read = [pl.read_parquet(file, glob=False) for file in files]
        return pl.concat(read) if read else labelling.none(self.table)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))


def observe(
    stage: Stage,
    joined: Joined | None,
    reference: Reference,
    first: date,
    last: date,
    known_by: datetime | None = None,
    anew: pl.DataFrame | None = None,
) -> Observed:
    """What the staged rows of the days from `first` to `last` say, some days in memory at a time."""
    parts = []
    ends: list[tuple[date, date, Path]] = []
    for number, days in enumerate(stage.days(first, last)):
        labels = joined.read(days) if joined else None
        part = observed.part(stage.read(days), labels, reference, known_by, anew)
        file = write(part.outcomes, stage.folder / OUTCOMES, number)
        ends.append((days[0], days[-1], file))
        parts.append(part.without_rows())

    def within(start: date, end: date, whose: str) -> pl.DataFrame:
        inside = pl.col(DAY).is_between(start, end) & pl.col(whose)
        some = [file for low, high, file in ends if low <= end and high >= start]
        read = [pl.read_parquet(file, glob=False).filter(inside) for file in some]
        return pl.concat(read) if read else observed.no_outcomes(reference)

    return observed.gathered(parts, within, joined.unknown if joined else 0)
