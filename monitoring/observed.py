"""From predictions and labels to what windows are made of: tallies by day, and the outcome of each row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

import polars as pl

from mainline.schema import FeatureTable
from monitoring.reference import ANEW, AT, MATCHED, SCORE, VERSION, Reference
from monitoring.tallies import DAY, Tallies, count

BLOCK, TARGET, REASON, TIME = "_block", "_target", "_reason", "_time"
OURS, EVERY, FIRST = "_ours", "_every", "_first"  # whose first answer to its key a row is
KNOWN = "_known"  # of a label: since when it is known; null: always
NEW_CLASS = "a class that the model has not"
LOT = "_lot"  # of a row's key, uniform over 32 bits: which rows a sample has
Outcomes = Callable[[date, date, str], Iterable[pl.DataFrame]]  # of the days from … to …, of whose rows


@dataclass
class Answered:
    """Of the first answers to each key: tallies, and how many further answers there were by day."""

    tallies: Tallies | None = None
    duplicates: Counter[date] = field(default_factory=Counter)

    @classmethod
    def join(cls, parts: Sequence[Answered]) -> Answered:
        """Of rows that share no key."""
        tallies = [one.tallies for one in parts if one.tallies is not None]
        duplicates = sum((one.duplicates for one in parts), Counter[date]())
        return cls(Tallies.join(tallies) if tallies else None, duplicates)


@dataclass
class Observed:
    """What was seen of some days: the answers of the version in production (`ours`), and of `every` one, of
    which the first to a key counts. `outcomes` gives TIME, DAY, BLOCK, SCORE, TARGET, REASON and LOT of the
    rows that are OURS or EVERY, some at a time; TARGET and REASON are null as long as neither is known.
    """

    ours: Answered
    every: Answered
    outcomes: Outcomes
    volume: Counter[date] = field(default_factory=Counter)
    versions: dict[date, Counter[str]] = field(default_factory=dict)
    newest: dict[date, datetime] = field(default_factory=dict)
    unknown_labels: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """The same of some rows that share no key of a day with others."""

    ours: Answered
    every: Answered
    rows: pl.DataFrame  # with features and labels
    volume: Counter[date]
    versions: dict[date, Counter[str]]
    newest: dict[date, datetime]

    @property
    def outcomes(self) -> pl.DataFrame:
        return self.rows.select(TIME, DAY, BLOCK, SCORE, TARGET, REASON, OURS, EVERY, LOT)

    def without_rows(self) -> Part:
        return replace(self, rows=self.rows.clear())


def part(
    rows: pl.DataFrame,
    labels: pl.DataFrame | None,
    reference: Reference,
    known_by: datetime | None = None,
    anew: pl.DataFrame | None = None,
) -> Part:
    """Tallies and outcomes of rows that have all answers to their keys.

    Args:
        rows: key, time, SCORE and the features under the use case's names; VERSION, AT and the block where
            they are known.
        labels: as `monitoring.labels` normalises them.
        known_by: labels that became known later do not exist yet.
        anew: key and features as computed from the raw data.
    """
    table = reference.table
    rows = dated(rows, table, reference.record.version)
    marked = _first_answers(rows, table, reference.record.version)
    first = marked.select(DAY, VERSION, TIME, FIRST).filter(FIRST)
    versions: dict[date, Counter[str]] = {}
    for day, version, number in first.group_by(DAY, VERSION).len().iter_rows():
        versions.setdefault(day, Counter())[version] = number
    labelled = _labelled(marked.filter(pl.col(OURS) | pl.col(EVERY)), labels, table, known_by)
    if anew is not None:
        labelled = _with_anew(labelled, anew, reference)
    if labelled[OURS].all():  # as nearly always: then both are the same
        ours = every = _counted(labelled, reference)
    else:
        ours, every = (_counted(labelled.filter(whose), reference) for whose in (OURS, EVERY))
    mine = pl.col(VERSION) == reference.record.version
    return Part(
        Answered(ours, _by_day(marked.filter(mine & ~pl.col(FIRST)))),
        Answered(every, _by_day(marked.filter(~pl.col(EVERY) & pl.col(SCORE).is_not_null()))),
        labelled,
        _by_day(first),
        versions,
        dict(first.group_by(DAY).agg(pl.col(TIME).max()).iter_rows()),
    )


def _counted(rows: pl.DataFrame, reference: Reference) -> Tallies | None:
    return count(rows, rows[SCORE], rows[TARGET], reference) if rows.height else None


def _by_day(rows: pl.DataFrame) -> Counter[date]:
    return Counter(dict(rows.group_by(DAY).len().iter_rows()))


def dated(rows: pl.DataFrame, table: FeatureTable, version: str) -> pl.DataFrame:
    """With TIME, DAY, BLOCK (text), LOT, VERSION. A block that is not among the columns is the row's day."""
    time = pl.col(table.time.name)
    rows = rows.with_columns(time.cast(pl.Datetime("us")).alias(TIME), time.cast(pl.Date).alias(DAY))
    block = pl.col(table.block.name) if table.block.name in rows.columns else pl.col(DAY)
    lot = (pl.col(table.key.name).hash(seed=2) // 2**32).cast(pl.UInt32)
    rows = rows.with_columns(block.cast(pl.String).fill_null("").alias(BLOCK), lot.alias(LOT))
    return rows if VERSION in rows.columns else rows.with_columns(pl.lit(version).alias(VERSION))


def _first_answers(rows: pl.DataFrame, table: FeatureTable, version: str) -> pl.DataFrame:
    """In the order of the answers, with FIRST: it is its version's first one to its key; with OURS: so it is
    of the version in production; with EVERY: it is the first one with a score of any version. The same key on
    another day is another row.
    """
    ordered = rows.sort(AT, maintain_order=True, nulls_last=True) if AT in rows.columns else rows
    key, scored = table.key.name, pl.col(SCORE).is_not_null()
    mine, first = pl.col(VERSION) == version, pl.struct(key, VERSION, DAY).is_first_distinct()
    marked = ordered.with_columns(first.alias(FIRST), (mine & first).alias(OURS))
    if ordered.select(mine.all()).item():
        return marked.with_columns(pl.col(FIRST).alias(EVERY))
    return marked.with_columns((scored & pl.struct(key, DAY, scored).is_first_distinct()).alias(EVERY))


def _labelled(
    rows: pl.DataFrame, labels: pl.DataFrame | None, table: FeatureTable, known_by: datetime | None
) -> pl.DataFrame:
    """With TARGET and REASON. No target for a label with a reason, and none of a class that is new."""
    target, reason, key = table.target.name, table.excluded.name, table.key.name
    rows = rows.drop(target, reason, strict=False)
    kind = pl.String if table.target.dtype == "string" else pl.Float64
    if labels is None:
        return rows.with_columns(
            pl.lit(None, dtype=kind).alias(TARGET), pl.lit(None, dtype=pl.String).alias(REASON)
        )
    known = labels
    if known_by is not None:
        known = labels.filter(pl.col(KNOWN).is_null() | (pl.col(KNOWN) <= known_by))
    why = pl.col(reason).cast(pl.String)
    if table.task == "multiclass":
        new = ~pl.col(target).is_in(list(table.classes))
        why = pl.coalesce(why, pl.when(new).then(pl.lit(NEW_CLASS)))
    known = known.select(
        key, pl.when(why.is_null()).then(pl.col(target).cast(kind)).alias(TARGET), why.alias(REASON)
    )
    return rows.join(known, on=key, how="left", maintain_order="left")


def _with_anew(rows: pl.DataFrame, anew: pl.DataFrame, reference: Reference) -> pl.DataFrame:
    """With the features as computed anew, as far as they may be compared, and their block.

    MATCHED are rows of the version in production: of others nobody knows how they computed theirs.
    """
    table = reference.table
    key, block = table.key.name, table.block.name
    names = [one.name for one in table.features if reference.alike is None or one.name in reference.alike]
    renamed = {name: ANEW + name for name in names if name in anew.columns}
    has_block = block in anew.columns and block not in (key, table.time.name)
    picked = anew.select(
        key,
        *(pl.col(name).alias(other) for name, other in renamed.items()),
        *([pl.col(block).alias("_block_anew")] if has_block else []),
        pl.lit(True).alias(MATCHED),
    )
    joined = rows.join(picked, on=key, how="left", maintain_order="left").with_columns(
        pl.col(MATCHED).fill_null(False) & (pl.col(VERSION) == reference.record.version)
    )
    if has_block and block not in rows.columns:
        joined = joined.with_columns(pl.coalesce(pl.col("_block_anew").cast(pl.String), BLOCK).alias(BLOCK))
    return joined


def gathered(parts: list[Part], outcomes: Outcomes, unknown_labels: int = 0) -> Observed:
    """The parts as one; `unknown_labels`: how many have no row in any of them."""
    ours, every = Answered.join([one.ours for one in parts]), Answered.join([one.every for one in parts])
    found = Observed(ours, every, outcomes, unknown_labels=unknown_labels)
    for one in parts:
        found.volume.update(one.volume)
        for day, versions in one.versions.items():
            found.versions.setdefault(day, Counter()).update(versions)
        for day, newest in one.newest.items():
            found.newest[day] = max(newest, found.newest.get(day, newest))
    return found


def end_of(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time()) + timedelta(days=1)
