"""How far the columns of a window are from the reference's, from the windows before, from a year ago."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainline.drift import ColumnDrift
from monitoring import sketch
from monitoring.reference import Reference
from monitoring.sketch import Array, Bins
from monitoring.tallies import ODD, Tallies, Tally


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


@dataclass(frozen=True, slots=True)
class Past:
    """The days (indices) that a window is compared with: those right before it, and the same a year before.

    `season`: None where fewer than half as many of them have rows.
    """

    tally: Tally
    before: NDArray[np.int64]
    season: NDArray[np.int64] | None

    def distances(self, counts: Array) -> tuple[float | None, float | None]:
        """Of `counts` [bins] from both."""
        sides = (self.before, self.season)
        before, season = (
            None if days is None else _short(sketch.distance(counts, self.tally.counts[days].sum(axis=0)))
            for days in sides
        )
        return before, season


def column_drift(
    tally: Tally,
    where: Bins,
    days: NDArray[np.int64],
    past: Past,
    scatter: float | None,
    reference_days: int,
) -> ColumnDrift:
    """The drift of one column over the days with these indices."""
    counts = tally.counts[days].sum(axis=0)
    before, season = (None, None) if where.empty else past.distances(counts)
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
        before=before,
        season=season,
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
