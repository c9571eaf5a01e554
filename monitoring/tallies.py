"""Counts by day: all that drift needs, however many rows a day had. Windows are sums of days."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from monitoring import sketch
from monitoring.reference import ANEW, FITS, MATCHED, Reference, shown_score
from monitoring.sketch import Bins

Array = NDArray[np.float64]
DAY = "_day"  # of a row's time
RELATIVE = 1e-6  # of float32: JSON and Parquet may differ by its rounding
ODD = ("rows", "nulls", "unknown", "beyond", "compared", "skewed")


@dataclass(frozen=True, slots=True)
class Tally:
    """One column by day: `counts` [days, bins] of the values, `odd` [days, ODD], `low` and `high` [days]."""

    counts: Array
    odd: NDArray[np.int64]
    low: tuple[float | str | None, ...]
    high: tuple[float | str | None, ...]


@dataclass(frozen=True, slots=True)
class Tallies:
    """All columns over the same `days`, in their order; the score and the target by their own names."""

    days: tuple[date, ...]
    columns: Mapping[str, Tally]
    score: Tally
    target: Tally

    @classmethod
    def join(cls, parts: Iterable[Tallies]) -> Tallies:
        """Of one part at least; days of several parts are added up."""
        listed = [part for part in parts if part.days]
        days = sorted({day for part in listed for day in part.days})
        place = {day: number for number, day in enumerate(days)}
        where = np.array([place[day] for part in listed for day in part.days], dtype=np.int64)
        return cls(
            tuple(days),
            {
                name: _join([part.columns[name] for part in listed], where, len(days))
                for name in listed[0].columns
            },
            _join([part.score for part in listed], where, len(days)),
            _join([part.target for part in listed], where, len(days)),
        )


def _join(parts: list[Tally], where: NDArray[np.int64], days: int) -> Tally:
    """`where`: the place of each part's days, one after the other."""
    counts = np.zeros((days, parts[0].counts.shape[1]))
    odd = np.zeros((days, len(ODD)), dtype=np.int64)
    np.add.at(counts, where, np.concatenate([part.counts for part in parts]))
    np.add.at(odd, where, np.concatenate([part.odd for part in parts]))
    ends: list[list[float | str]] = [[] for _ in range(days)]
    pairs = (pair for part in parts for pair in zip(part.low, part.high, strict=True))
    for place, pair in zip(where.tolist(), pairs, strict=True):
        ends[place] += [value for value in pair if value is not None]
    low, high = (tuple(end(some, default=None) for some in ends) for end in (min, max))
    return Tally(counts, odd, low, high)


def count(rows: pl.DataFrame, score: pl.Series, target: pl.Series, reference: Reference) -> Tallies:
    """The tallies of rows that have DAY and every feature; `target`: null where there is no label.

    Of rows whose features are not those of the reference (FITS), only these two.
    """
    days = tuple(rows[DAY].unique().sort())
    every = rows[DAY].rank("dense").cast(pl.Int64).to_numpy() - 1
    code = every
    if FITS in rows.columns and not rows[FITS].all():
        code, rows = every[rows[FITS].to_numpy()], rows.filter(FITS)
    matched = rows[MATCHED].to_numpy() if MATCHED in rows.columns else None
    columns = {}
    for name, where in reference.columns.items():
        skewed = None
        if matched is not None and ANEW + name in rows.columns:
            skewed = differs(rows[name], rows[ANEW + name]) & matched
        columns[name] = _tally(rows[name], where, code, len(days), matched, skewed)
    shown = shown_score(score, reference.table)
    has = target.is_not_null()
    return Tallies(
        days,
        columns,
        _tally(shown, reference.score_bins, every, len(days)),
        _tally(target.filter(has), reference.target_bins, every[has.to_numpy()], len(days)),
    )


def _tally(
    values: pl.Series,
    where: Bins,
    code: NDArray[np.int64],
    days: int,
    matched: NDArray[np.bool_] | None = None,
    skewed: NDArray[np.bool_] | None = None,
) -> Tally:
    found = sketch.codes(values, where)
    some = found >= 0
    cells = np.bincount(code[some] * where.size + found[some], minlength=days * where.size)
    missing, beyond, unknown = _oddities(values, where, found)
    compared = matched if skewed is not None and matched is not None else np.zeros(len(code), dtype=bool)
    flags = [
        np.ones(len(code), dtype=bool),
        missing,
        unknown,
        beyond,
        compared,
        skewed if skewed is not None else compared,
    ]
    odd = np.stack([np.bincount(code[flag], minlength=days) for flag in flags], 1)
    low, high = _ends(values, code, days)
    return Tally(cells.reshape(days, where.size).astype(np.float64), odd, low, high)


def _oddities(
    values: pl.Series, where: Bins, found: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which values are missing, out of range (infinite ones too), and unknown."""
    nowhere = np.zeros(len(found), dtype=bool)
    if where.column.dtype in ("string", "bool"):
        missing = values.is_null().to_numpy()
        return missing, nowhere, _unknown(values, where, found) & ~missing
    numbers = sketch.as_numbers(values)
    low, high = where.column.minimum, where.column.maximum
    beyond = np.isinf(numbers)
    with np.errstate(invalid="ignore"):
        beyond |= nowhere if low is None else numbers < low
        beyond |= nowhere if high is None else numbers > high
    return np.isnan(numbers), beyond, nowhere


def _unknown(values: pl.Series, where: Bins, found: NDArray[np.int64]) -> NDArray[np.bool_]:
    """By the reference's values, by what its model knows where not all are named, else by the closed set."""
    if where.names and where.whole:
        unnamed: NDArray[np.bool_] = found == len(where.names)
        return unnamed
    return _not_of(values, where.known if where.names else where.column.values)


def _not_of(values: pl.Series, known: Collection[str]) -> NDArray[np.bool_]:
    if not known:
        return np.zeros(values.len(), dtype=bool)
    return ~values.cast(pl.String).is_in(list(known)).fill_null(False).to_numpy()


def _ends(
    values: pl.Series, code: NDArray[np.int64], days: int
) -> tuple[tuple[float | str | None, ...], tuple[float | str | None, ...]]:
    """Smallest and largest value by day, None without any."""
    if values.dtype == pl.Null or not values.len():
        return (None,) * days, (None,) * days
    if values.dtype in (pl.String, pl.Boolean):
        plain = values.cast(pl.String)
    else:
        plain = pl.Series(sketch.as_numbers(values)).fill_nan(None)
    frame = pl.DataFrame({"day": code, "value": plain})
    ends = frame.group_by("day").agg(low=pl.col("value").min(), high=pl.col("value").max())
    found = {day: (low, high) for day, low, high in ends.iter_rows()}
    pairs = [found.get(day, (None, None)) for day in range(days)]
    return tuple(low for low, _ in pairs), tuple(high for _, high in pairs)


def differs(served: pl.Series, anew: pl.Series) -> NDArray[np.bool_]:
    """Where two columns are not the same: null is null, numbers within float32's precision."""
    if served.dtype in (pl.String, pl.Boolean) or anew.dtype in (pl.String, pl.Boolean):
        return served.cast(pl.String).ne_missing(anew.cast(pl.String)).to_numpy()
    one, two = sketch.as_numbers(served), sketch.as_numbers(anew)
    return ~np.isclose(one, two, rtol=RELATIVE, atol=RELATIVE, equal_nan=True)
