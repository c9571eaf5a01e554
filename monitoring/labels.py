"""What came true, as it becomes known: recomputed from the raw data, or a Parquet table of labels.

A label has a target, or a reason why there never will be one; a row without a label is pending.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl

from mainline.errors import DataError
from mainline.schema import FeatureTable
from mainline.settings import Month
from monitoring import disk, places
from monitoring.observed import KNOWN
from monitoring.slices import DamagedError, Slices
from monitoring.tables import whole
from pipeline import featurize, ingest
from pipeline.frames import DTYPES
from pipeline.params import Params
from pipeline.text import inert
from usecase.schema import FEATURES

SOURCE = "source"
BATCH_ROWS = 200_000
LONGEST = 1000  # characters of a file's name, whose end says which it is


@dataclass(frozen=True, slots=True)
class Computed:
    """From raw data. `labels`: key, target, excluded, KNOWN, a row a key; `anew`: the features; `lacking`:
    months that the source has not.
    """

    labels: pl.DataFrame
    anew: pl.DataFrame | None = None
    lacking: tuple[str, ...] = ()


def batches(
    place: str, table: FeatureTable = FEATURES, known_by: datetime | None = None
) -> Iterator[pl.DataFrame]:
    """Of a Parquet file, folder or s3:// prefix with key and target, excluded and known_at where there are.

    A place without files has no labels yet. `known_by`: labels that became known later do not exist yet.

    Raises DataError: no such place, unreadable, a column is missing or of another type; SourceError: a store
    that does not answer or refuses.
    """
    found = places.files(place)
    names = [name for name in found if name.endswith(".parquet")]
    if found and not names:
        raise DataError(f"{inert(place)} holds no Parquet file", remedy="give the labels as Parquet")
    known = pl.lit(True) if known_by is None else pl.col(KNOWN).is_null() | (pl.col(KNOWN) <= known_by)
    with Slices() as slices:
        for name in names:
            for batch in _read(name, table, slices):
                yield normal(batch, table).filter(known)


def _read(name: str, table: FeatureTable, slices: Slices) -> Iterator[pl.DataFrame]:
    wanted = {other for pair in _names(table).items() for other in pair} | {"known_at"}
    try:
        with places.local(name) as path:
            for rows in slices.of(path, BATCH_ROWS, sorted(wanted)):
                yield _picked(rows, name, table)
    except (DamagedError, OSError) as error:
        if disk.full(error):
            raise
        raise DataError(
            f"the labels {inert(name, LONGEST)} cannot be read",
            why=said(error),
            remedy="correct the file, or leave it out",
        ) from None


def said(error: Exception) -> str:
    """Its first line, which may quote the table, made harmless."""
    return inert(next(iter(str(error).splitlines()), "") or type(error).__name__, 200)


def none(table: FeatureTable) -> pl.DataFrame:
    """No labels, in their types."""
    schema = {one.name: DTYPES[one.dtype] for one in (table.key, table.target)}
    return normal(pl.DataFrame(schema=schema), table)


def _names(table: FeatureTable) -> dict[str, str]:
    """Columns of labels, and what they may be called too."""
    return {table.key.name: "key", table.target.name: "target", table.excluded.name: "excluded"}


def _picked(frame: pl.DataFrame, name: str, table: FeatureTable) -> pl.DataFrame:
    """The columns that matter, under the use case's names."""
    present = frame.columns
    picked = []
    for one, other in _names(table).items():
        if one in present or other in present:
            picked.append(pl.col(one if one in present else other).alias(one))
        elif other != "excluded":
            raise DataError(
                f"the labels {inert(name, LONGEST)} have no column {one}", remedy=f"name it {one} or {other}"
            )
    if "known_at" in present:
        picked.append(pl.col("known_at").alias(KNOWN))
    return frame.select(picked)


def normal(frame: pl.DataFrame, table: FeatureTable = FEATURES) -> pl.DataFrame:
    """Key, target, excluded and KNOWN in the types of the use case; what has neither is no label.

    Raises DataError for targets that the task cannot have.
    """
    key, target, excluded = table.key, table.target, table.excluded
    if excluded.name not in frame.columns:
        frame = frame.with_columns(pl.lit(None, dtype=pl.String).alias(excluded.name))
    if KNOWN not in frame.columns:
        frame = frame.with_columns(pl.lit(None, dtype=pl.Datetime("us")).alias(KNOWN))
    try:
        typed = frame.select(
            pl.col(key.name).cast(DTYPES[key.dtype]),
            whole(frame[target.name], DTYPES[target.dtype]).cast(DTYPES[target.dtype]),
            pl.col(excluded.name).cast(pl.String),
            pl.col(KNOWN).dt.replace_time_zone(None).cast(pl.Datetime("us"))
            if isinstance(frame.schema[KNOWN], pl.Datetime)
            else pl.col(KNOWN).cast(pl.Datetime("us")),
        )
    except pl.exceptions.PolarsError as error:
        raise DataError(
            "the labels are of another type than the use case declares",
            why=said(error),
            remedy=f"{target.name} is {target.dtype}, {key.name} {key.dtype}",
        ) from None
    if typed.schema[target.name].is_float():
        typed = typed.with_columns(pl.col(target.name).fill_nan(None))
    labelled = typed.filter(
        pl.col(key.name).is_not_null()
        & (pl.col(target.name).is_not_null() | pl.col(excluded.name).is_not_null())
    )
    _check(labelled, table)
    return labelled


def _check(labels: pl.DataFrame, table: FeatureTable) -> None:
    target = pl.col(table.target.name)
    match table.task:
        case "binary":
            wrong = labels.filter(~target.is_in([0, 1]))
        case "multiclass":
            wrong = labels.filter(~target.is_in(list(table.classes)))
        case _:
            wrong = labels.filter(~target.cast(pl.Float64).is_finite())
    if wrong.height:
        key, value = wrong[table.key.name][0], wrong[table.target.name][0]
        raise DataError(
            f"{wrong.height:,} labels cannot be: {inert(str(key))} has {inert(str(value))}",
            remedy=f"correct {table.target.name}; the task is {table.task}",
        )


def distinct(labels: pl.DataFrame, table: FeatureTable) -> tuple[pl.DataFrame, int]:
    """One label a key, with the time when it was known first; how many keys have none because theirs differ.

    A label that differs from an earlier one corrects it. `labels`: all of their keys, as they were told.
    """
    key, value = table.key.name, [table.target.name, table.excluded.name]
    ordered = labels.sort(KNOWN, nulls_last=False, maintain_order=True)
    once = ordered.unique([key, *value], keep="first", maintain_order=True)
    differ = pl.col(key).is_duplicated()
    doubted = once.filter(differ).select(key).unique()
    several = ordered.join(doubted, on=key, how="semi", maintain_order="left")
    last = several.filter(pl.col(KNOWN).eq_missing(pl.col(KNOWN).max().over(key)))
    last = last.unique([key, *value], keep="first", maintain_order=True)
    return pl.concat([once.filter(~differ), last.filter(~differ)]), last.filter(differ)[key].n_unique()


def from_source(
    params: Params, first: date, last: date, lag_days: float, lookback: int | None = None
) -> Computed:
    """Labels and features of the days from `first` to `last`, from the raw data as the pipeline has them.

    A label is known `lag_days` after the row's time. Months that the source has not yet give none.
    `lookback`: months read before the first day, for features that look back; None: all, as the pipeline
    does. Raises what `ingest` and `featurize` raise.
    """
    source = ingest.connect(params.ingest.source)
    start, end = Month(first.year, first.month), Month(last.year, last.month)
    oldest = Month(1, 1) if lookback is None else start.plus(-lookback)
    months = [month for month in source.months if oldest <= month <= end]
    wanted = itertools.takewhile(lambda month: month <= end, map(start.plus, itertools.count()))
    lacking = tuple(str(month) for month in wanted if month not in source.months)
    if not months:
        return Computed(none(FEATURES), lacking=lacking)
    data = params.data.model_copy(update={"as_of": str(months[-1])})
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        print(f"raw data: reading {months[0]} to {months[-1]} of {inert(source.name)}", flush=True)
        ingest.ingest(ingest.Source(source.name, months, source.read), months[-1], Path(folder))
        print("features: computing them, as the pipeline does", flush=True)
        table = featurize.build(params.model_copy(update={"data": data}), Path(folder))
    time = pl.col(FEATURES.time.name)
    table = table.filter(time.cast(pl.Date).is_between(first, last))
    print(f"features: {table.height:,} rows", file=sys.stderr, flush=True)
    known = table.with_columns((time.cast(pl.Datetime("us")) + timedelta(days=lag_days)).alias(KNOWN))
    names = [FEATURES.key.name, FEATURES.target.name, FEATURES.excluded.name, KNOWN]
    return Computed(normal(known.select(names)), table, lacking)
