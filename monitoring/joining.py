"""Labels and the keys of staged rows, met on disk: both by buckets of their key, then by the rows' days.

So memory holds a bucket of each, or the labels of a group of rows, and never all labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import polars as pl

from mainline.schema import FeatureTable
from monitoring import labels as labelling
from monitoring import observed
from monitoring.observed import Observed
from monitoring.reference import Reference
from monitoring.staging import Group, Stage, write
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
    groups: list[Group] = field(default_factory=list)

    @classmethod
    def of(
        cls, batches: Iterable[pl.DataFrame], stage: Stage, table: FeatureTable, first: date, last: date
    ) -> Joined:
        """`batches`: labels in the order in which they are told, as `labels.normal` gives them."""
        made = cls(stage, table, first, last, groups=stage.groups(first, last))
        for number, batch in enumerate(batches):
            made._spread(batch, LABELS, number)
        for number, group in enumerate(made.groups):
            rows = stage.read(group, [table.key.name, table.time.name])
            keys = rows.select(table.key.name, pl.lit(number, pl.UInt32).alias(GROUP)).unique()
            made._spread(keys, KEYS, number)
        for bucket in range(BUCKETS):
            made._meet(bucket)
        return made

    def read(self, group: Group) -> pl.DataFrame:
        """The labels of the keys of these rows, a row a key; keys of other rows may be among them."""
        wanted = set(group.days)
        same = [number for number, one in enumerate(self.groups) if one == group]
        numbers = same or [number for number, one in enumerate(self.groups) if wanted & set(one.days)]
        files = [file for number in numbers for file in _files(self._folder / MET / str(number))]
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
    """What the staged rows of the days from `first` to `last` say, a group of them in memory at a time."""
    parts = []
    ends: list[tuple[date, date, Path]] = []
    for number, group in enumerate(stage.groups(first, last)):
        labels = joined.read(group) if joined else None
        part = observed.part(stage.read(group), labels, reference, known_by, anew)
        file = write(part.outcomes, stage.folder / OUTCOMES, number)
        ends.append((group.days[0], group.days[-1], file))
        parts.append(part.without_rows())

    def within(start: date, end: date, whose: str) -> Iterator[pl.DataFrame]:
        inside = pl.col(DAY).is_between(start, end) & pl.col(whose)
        some = [file for low, high, file in ends if low <= end and high >= start]
        return (pl.read_parquet(file, glob=False).filter(inside) for file in some)

    return observed.gathered(parts, within, joined.unknown if joined else 0)
