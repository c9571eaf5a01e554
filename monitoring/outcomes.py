"""What the rows of a window came to: all of them counted, and those that its figures are of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from mainline.drift import Labels
from monitoring.observed import BLOCK, LOT, REASON, TARGET, TIME
from monitoring.reference import SCORE
from pipeline.text import inert

MOST = 500_000  # rows in memory; of more, the mean log loss is a sample's, to 0.0007 (one standard error)


@dataclass
class Seen:
    """`rows` in all. `held`: BLOCK, SCORE and TARGET of those that figures are of: of all, or where a window
    has more than MOST, of about so many, chosen by their key: the same ones each time, in whatever order.
    """

    rows: int = 0
    held: list[pl.DataFrame] = field(default_factory=list)
    joined: int = 0
    pending: int = 0
    late: int = 0
    excluded: Counter[str] = field(default_factory=Counter)
    _blocks: set[str] = field(default_factory=set)
    _labelled: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, frames: Iterable[pl.DataFrame], rows: int, lag: timedelta, now: datetime) -> Seen:
        """`rows`: of all frames. A label is late that is missing at `now`, more than `lag` after its row."""
        made = cls(rows)
        for frame in frames:
            made._count(frame, lag, now)
            some = frame if rows <= MOST else frame.filter(pl.col(LOT) < MOST / rows * 2**32)
            made.held.append(some.select(BLOCK, SCORE, TARGET))
        return made

    def _count(self, frame: pl.DataFrame, lag: timedelta, now: datetime) -> None:
        labelled = frame.filter(pl.col(TARGET).is_not_null())
        pending = frame.filter(pl.col(TARGET).is_null() & pl.col(REASON).is_null())
        self.joined += labelled.height
        self.pending += pending.height
        self.late += int((pending[TIME] + lag < now).sum())
        self.excluded.update(dict(frame[REASON].drop_nulls().value_counts().iter_rows()))
        self._blocks.update(frame[BLOCK].unique())
        self._labelled.update(labelled[BLOCK].unique())

    @property
    def blocks(self) -> int:
        return len(self._blocks)

    @property
    def sampled(self) -> int | None:
        """How many rows the figures are of, where that is not all of them."""
        return None if self.rows <= MOST else sum(one.height for one in self.held)

    @property
    def labels(self) -> Labels:
        possible = self.joined + self.pending
        return Labels(
            joined=self.joined,
            pending=self.pending,
            late=self.late,
            excluded={inert(name): number for name, number in sorted(self.excluded.items())},
            share=round(self.joined / possible, 6) if possible else None,
            blocks=len(self._labelled),
        )
