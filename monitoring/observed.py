"""From predictions and labels to what windows are made of: tallies by day, and the outcome of each row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

import polars as pl

from mainline.schema import FeatureTable
from monitoring.reference import ANEW, AT, MATCHED, SCORE, VERSION, Reference
from monitoring.tallies import DAY, Tallies, count

BLOCK, TARGET, REASON, TIME = "_block", "_target", "_reason", "_time"
KNOWN = "_known"  # of a label: since when it is known; null: always
NEW_CLASS = "a class that the model has not"
Outcomes = Callable[[date, date], pl.DataFrame]  # of the days from … to …, both included


@dataclass
class Observed:
    """What was seen of some days. `outcomes` gives TIME, DAY, BLOCK, SCORE, TARGET and REASON of the rows
    that the production version answered; TARGET and REASON are null as long as neither is known.
    """

    tallies: Tallies | None
    outcomes: Outcomes
    volume: Counter[date] = field(default_factory=Counter)
    versions: dict[date, Counter[str]] = field(default_factory=dict)
    duplicates: Counter[date] = field(default_factory=Counter)
    newest: dict[date, datetime] = field(default_factory=dict)
    unknown_labels: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """The same of some rows that share no day with others."""

    tallies: Tallies | None
    rows: pl.DataFrame  # of the production version, with features and labels
    volume: Counter[date]
    versions: dict[date, Counter[str]]
    duplicates: Counter[date]
    newest: dict[date, datetime]

    @property
    def outcomes(self) -> pl.DataFrame:
        return self.rows.select(TIME, DAY, BLOCK, SCORE, TARGET, REASON)

    def without_rows(self) -> Part:
        return replace(self, rows=self.rows.clear())


def part(
    rows: pl.DataFrame,
    labels: pl.DataFrame | None,
    reference: Reference,
    known_by: datetime | None = None,
    anew: pl.DataFrame | None = None,
) -> Part:
    """Tallies and outcomes of whole days of rows.

    Args:
        rows: key, time, SCORE and the features under the use case's names; VERSION, AT and the block where
            they are known.
        labels: as `monitoring.labels` normalises them.
        known_by: labels that became known later do not exist yet.
        anew: key and features as computed from the raw data.
    """
    table = reference.table
    rows = dated(rows, table, reference.record.version)
    first, repeated = _first_answers(rows, table)
    versions: dict[date, Counter[str]] = {}
    for day, version, number in first.group_by(DAY, VERSION).len().iter_rows():
        versions.setdefault(day, Counter())[version] = number
    ours = first.filter(pl.col(VERSION) == reference.record.version)
    labelled = _labelled(ours, labels, table, known_by)
    if anew is not None:
        labelled = _with_anew(labelled, anew, reference)
    tallies = None
    if labelled.height:
        tallies = count(labelled, labelled[SCORE], labelled[TARGET], reference)
    newest = first.group_by(DAY).agg(pl.col(TIME).max())
    return Part(
        tallies,
        labelled,
        Counter(dict(first.group_by(DAY).len().iter_rows())),
        versions,
        Counter(
            dict(repeated.filter(pl.col(VERSION) == reference.record.version).group_by(DAY).len().iter_rows())
        ),
        dict(newest.iter_rows()),
    )


def dated(rows: pl.DataFrame, table: FeatureTable, version: str) -> pl.DataFrame:
    """With TIME, DAY, BLOCK (as text) and VERSION. A block that is not among the columns is the row's day."""
    time = pl.col(table.time.name)
    rows = rows.with_columns(time.cast(pl.Datetime("us")).alias(TIME), time.cast(pl.Date).alias(DAY))
    block = pl.col(table.block.name) if table.block.name in rows.columns else pl.col(DAY)
    rows = rows.with_columns(block.cast(pl.String).fill_null("").alias(BLOCK))
    return rows if VERSION in rows.columns else rows.with_columns(pl.lit(version).alias(VERSION))


def _first_answers(rows: pl.DataFrame, table: FeatureTable) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Each version's first answer to each key, and the others. The same key on another day is another row."""
    ordered = rows.sort(AT, maintain_order=True, nulls_last=True) if AT in rows.columns else rows
    first = pl.struct(table.key.name, VERSION, DAY).is_first_distinct()
    marked = ordered.with_columns(first.alias("_first"))
    return marked.filter("_first").drop("_first"), marked.filter(~pl.col("_first")).select(DAY, VERSION)


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
    """With the features as computed anew, as far as they may be compared, and their block."""
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
        pl.col(MATCHED).fill_null(False)
    )
    if has_block and block not in rows.columns:
        joined = joined.with_columns(pl.coalesce(pl.col("_block_anew").cast(pl.String), BLOCK).alias(BLOCK))
    return joined


def gathered(parts: list[Part], outcomes: Outcomes, unknown_labels: int = 0) -> Observed:
    """The parts as one; `unknown_labels`: how many have no row in any of them."""
    found = Observed(None, outcomes, unknown_labels=unknown_labels)
    tallies = [one.tallies for one in parts if one.tallies is not None]
    found.tallies = Tallies.join(tallies) if tallies else None
    for one in parts:
        found.volume.update(one.volume)
        found.versions.update(one.versions)
        found.duplicates.update(one.duplicates)
        found.newest.update(one.newest)
    return found


def no_outcomes(reference: Reference) -> pl.DataFrame:
    table = reference.table
    score = pl.List(pl.Float64) if table.task == "multiclass" else pl.Float64()
    target = pl.String() if table.target.dtype == "string" else pl.Float64()
    return pl.DataFrame(
        schema={
            TIME: pl.Datetime("us"), DAY: pl.Date(), BLOCK: pl.String(),
            SCORE: score, TARGET: target, REASON: pl.String(),
        }
    )  # fmt: skip


def end_of(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time()) + timedelta(days=1)
