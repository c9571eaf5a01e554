"""Counts by day: all that drift needs, however many rows a day had. Windows are sums of days."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mainline.drift import ColumnDrift
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
        """Of days that do not overlap."""
        listed = sorted((part for part in parts if part.days), key=lambda part: part.days[0])
        first = listed[0]
        return cls(
            tuple(day for part in listed for day in part.days),
            {name: _join([part.columns[name] for part in listed]) for name in first.columns},
            _join([part.score for part in listed]),
            _join([part.target for part in listed]),
        )


def _join(parts: list[Tally]) -> Tally:
    return Tally(
        np.concatenate([part.counts for part in parts]),
        np.concatenate([part.odd for part in parts]),
        tuple(value for part in parts for value in part.low),
        tuple(value for part in parts for value in part.high),
    )


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
        unknown = found == len(where.names) if where.names else _not_of(values, where.column.values)
        return missing, nowhere, unknown & ~missing
    numbers = sketch.as_numbers(values)
    low, high = where.column.minimum, where.column.maximum
    beyond = np.isinf(numbers)
    with np.errstate(invalid="ignore"):
        beyond |= nowhere if low is None else numbers < low
        beyond |= nowhere if high is None else numbers > high
    return np.isnan(numbers), beyond, nowhere


def _not_of(values: pl.Series, known: tuple[str, ...]) -> NDArray[np.bool_]:
    if not known:
        return np.zeros(values.len(), dtype=bool)
    return ~values.cast(pl.String).is_in(known).fill_null(False).to_numpy()


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


@dataclass(frozen=True, slots=True)
class Scatter:
    """How much one day's shares scatter within windows, by column; none known: by the rows alone."""

    columns: Mapping[str, float]
    score: float | None
    target: float | None

    @classmethod
    def of(cls, tallies: Tallies, windows: list[NDArray[np.int64]], reference: Reference) -> Scatter:
        """The mean over `windows`, each the indices of its days."""
        columns = {
            name: _scatter(tally, windows, reference.columns[name]) for name, tally in tallies.columns.items()
        }
        return cls(
            {name: value for name, value in columns.items() if value is not None},
            _scatter(tallies.score, windows, reference.score_bins),
            _scatter(tallies.target, windows, reference.target_bins),
        )


def _scatter(tally: Tally, windows: list[NDArray[np.int64]], where: Bins) -> float | None:
    if where.empty:
        return None
    found = [sketch.between(tally.counts[days], where.share) for days in windows]
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if known else None


def column_drift(
    tally: Tally,
    where: Bins,
    days: NDArray[np.int64],
    before: NDArray[np.int64],
    scatter: float | None,
    reference_days: int,
) -> ColumnDrift:
    """The drift of one column over the days with these indices; `before`: those of the window before."""
    counts, earlier = tally.counts[days].sum(axis=0), tally.counts[before].sum(axis=0)
    odd = dict(zip(ODD, tally.odd[days].sum(axis=0).tolist(), strict=True))
    rows = odd["rows"]
    away = None if where.empty else sketch.distance(counts, where.share)
    filled = int((tally.counts[days].sum(axis=1) > 0).sum())
    chance = None
    if away is not None:
        if scatter is None:  # a single day: as if its rows were independent
            one = filled * (where.size - 1) / max(1.0, counts.sum())
            chance = sketch.noise(one, filled, reference_days, where, counts)
        else:
            chance = sketch.noise(scatter, filled, reference_days, where, counts)
    return ColumnDrift(
        name=where.column.name,
        dtype=where.column.dtype,
        rows=rows,
        distance=_short(away),
        noise=_short(chance),
        before=None if where.empty else _short(sketch.distance(counts, earlier)),
        nulls=_share(odd["nulls"], rows),
        nulls_reference=where.nulls,
        unknown=_share(odd["unknown"], rows),
        unknown_reference=where.unknown,
        out_of_range=_share(odd["beyond"], rows),
        out_of_range_reference=where.beyond,
        constant=_constant(tally, days) and not where.constant,
        skew=_share(odd["skewed"], odd["compared"]) if odd["compared"] else None,
    )


def _constant(tally: Tally, days: NDArray[np.int64]) -> bool:
    """More than one value, and all of them the same."""
    lows = [tally.low[day] for day in days if tally.low[day] is not None]
    highs = [tally.high[day] for day in days if tally.high[day] is not None]
    return bool(tally.odd[days, 0].sum() - tally.odd[days, 1].sum() > 1) and len({*lows, *highs}) == 1


def _share(part: int, whole: int) -> float:
    return float(f"{part / max(1, whole):.6g}")


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
