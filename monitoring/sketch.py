"""How far a column's values lie from the reference's sketch: Jensen-Shannon distance, and what chance gives.

Pure: arrays in, numbers out. A number is counted between the sketch's quantiles, ties merged; a category by
its name. The distance (Lin 1991; base 2, square root) is 0 for equal shares and 1 for disjoint ones. It is
an effect size: unlike a p-value it does not grow with the rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mainline.profile import OTHER, ColumnProfile
from mainline.schema import Column
from monitoring.vocabulary import Vocabulary
from pipeline.profile import DIGITS
from pipeline.text import inert

Array = NDArray[np.float64]
LEAST = 0.05  # of the reference in one bin: the sketch's steps are a hundredth, and finer bins only add noise


@dataclass(frozen=True, slots=True)
class Bins:
    """Where the values of one column are counted, and the reference's share of each bin [bins].

    Numbers: bin 0 lies below the smallest reference value, bin j reaches up to and with `edges[j]`, the last
    lies above all; each of the others holds LEAST of the reference or more. Categories: `names`, then those
    of no name. `rounding`: variance of each share by the sketch's steps, half a step either way. No edges and
    no names: the reference has no values. `whole`: the names are all values that it has; else `known` are
    those that its model knows, none where nobody can tell.
    """

    column: Column
    edges: Array
    names: tuple[str, ...]
    share: Array
    rounding: Array
    nulls: float = 0.0
    unknown: float = 0.0
    beyond: float = 0.0
    constant: bool = False
    whole: bool = True
    known: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        return len(self.share)

    @property
    def empty(self) -> bool:
        return not len(self.edges) and not self.names


def bins(column: Column, profile: ColumnProfile | None, known: Vocabulary | None = None) -> Bins:
    """The bins of a sketch; the same column without any when there is no sketch.

    `known`: what the model knows of a categorical column, for a sketch that does not name all values.
    """
    if profile is None or not (profile.quantiles or profile.shares):
        nothing = np.zeros(0)
        return Bins(column, nothing, (), np.ones(1), np.zeros(1), nulls=profile.nulls if profile else 0.0)
    return _categories(column, profile, known) if profile.shares else _numbers(column, profile)


def _categories(column: Column, profile: ColumnProfile, known: Vocabulary | None) -> Bins:
    """What is not named counts as OTHER. It is new where the sketch has none, or the model knows it not."""
    names = tuple(name for name in profile.shares if name != OTHER)
    rest = profile.shares.get(OTHER, 0.0)
    share = np.array([*(profile.shares[name] for name in names), rest])
    return Bins(
        column,
        np.zeros(0),
        names,
        share / share.sum(),
        np.zeros(len(share)),
        nulls=profile.nulls,
        unknown=known.unknown if known and rest else 0.0,
        constant=len(profile.shares) == 1 and not rest,
        whole=not rest,
        known=known.values if known else frozenset(),
    )


def _numbers(column: Column, profile: ColumnProfile) -> Bins:
    """Shares from the ranks at which the quantiles step to another value.

    A value that fills several quantiles reaches, on average, half a step beyond the last of them; so does
    every whole number.
    """
    quantiles = np.array(profile.quantiles)
    values, first = np.unique(quantiles, return_index=True)
    last = np.append(first[1:], len(quantiles)) - 1
    heavy = (last > first) | (column.dtype in ("int64", "bool"))
    heavy[-1] = False  # above the largest there is nothing
    step = 1 / max(1, len(quantiles) - 1)
    below = np.minimum(last * step + np.where(heavy, step / 2, 0), 1)
    below[-1] = 1
    kept = _kept(below)
    values, below, heavy = values[kept], below[kept], heavy[kept]
    uncertain = np.where(heavy, step**2 / 12, 0)
    half = np.zeros(len(values)) if column.dtype in ("date", "datetime") else _half_units(values)
    smallest = quantiles[0] - (half[0] if values[0] == quantiles[0] else _half_units(quantiles[:1])[0])
    edges = np.concatenate([[np.nextafter(smallest, -np.inf)], values + half])
    low = -np.inf if column.minimum is None else column.minimum
    high = np.inf if column.maximum is None else column.maximum
    return Bins(
        column,
        edges,
        (),
        np.concatenate([[0], np.diff(below, prepend=0), [0]]),
        np.concatenate([[0], uncertain + np.append(0, uncertain[:-1]), [0]]),
        nulls=profile.nulls,
        beyond=float(((quantiles < low) | (quantiles > high)).mean()) * (1 - profile.nulls)
        + profile.infinite,
        constant=bool(quantiles[0] == quantiles[-1]),
    )


def _kept(below: Array) -> NDArray[np.bool_]:
    """Which edges stay, so that a bin holds at least LEAST of the reference; a heavier value has its own."""
    steps = np.diff(below, prepend=0)
    kept = np.zeros(len(below), dtype=bool)
    held = 0.0
    for index, step in enumerate(steps):
        held += step
        heavier = index + 1 < len(steps) and steps[index + 1] >= LEAST
        if held >= LEAST - 1e-9 or (heavier and held > 0):
            kept[index], held = True, 0.0
    kept[-1] = True
    return kept


def _half_units(values: Array) -> Array:
    """Half of the last digit to which the sketch rounds: live values are not rounded, and belong with it."""
    size = np.abs(values)
    exponent = np.floor(np.log10(np.where(size > 0, size, 1)))
    return np.where(size > 0, 0.5 * 10.0 ** (exponent - DIGITS + 1), 0)


def codes(values: pl.Series, where: Bins) -> NDArray[np.int64]:
    """The bin of each value [n]; -1: no finite value."""
    if where.empty:
        present = values.is_not_null().to_numpy()
        return np.where(present, 0, -1).astype(np.int64)
    if where.names:
        return _category_codes(values, where)
    numbers = as_numbers(values)
    found = np.searchsorted(where.edges, numbers, side="left")
    return np.where(np.isfinite(numbers), found, -1).astype(np.int64)


def _category_codes(values: pl.Series, where: Bins) -> NDArray[np.int64]:
    """By name as the sketch has it: made safe to print."""
    text = values.cast(pl.String)
    distinct = text.drop_nulls().unique()
    place = {name: index for index, name in enumerate(where.names)}
    found = [place.get(inert(value), len(where.names)) for value in distinct]
    if not len(distinct):
        return np.full(values.len(), -1, dtype=np.int64)
    placed = text.replace_strict(distinct, found, default=None, return_dtype=pl.Int64)
    return placed.fill_null(-1).to_numpy()


def as_numbers(values: pl.Series) -> Array:
    """Float64 [n], NaN for null; dates and times as seconds since 1970."""
    if values.dtype.is_temporal():
        values = values.cast(pl.Datetime("us")).cast(pl.Int64) / 1_000_000
    return values.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()


def distance(first: Array, second: Array) -> float | None:
    """Jensen-Shannon distance of two rows of counts or shares [bins]; None when one of them is empty."""
    if first.sum() <= 0 or second.sum() <= 0:
        return None
    p, q = first / first.sum(), second / second.sum()
    middle = (p + q) / 2
    bits = (_kullback(p, middle) + _kullback(q, middle)) / (2 * math.log(2))
    return math.sqrt(min(1.0, max(0.0, bits)))


def _kullback(p: Array, q: Array) -> float:
    some = p > 0
    return float((p[some] * np.log(p[some] / q[some])).sum())


def between(counts: Array, share: Array) -> float | None:
    """Scatter of one block: the variance of its shares over the mean share, summed over bins.

    `counts` [blocks, bins]; `share`: the reference's. By the ratio estimator (Cochran 1977), so that
    blocks of unequal size count for what they hold. None for fewer than two blocks.
    """
    some = counts.sum(axis=1) > 0
    counts = counts[some]
    if len(counts) < 2:
        return None
    total = counts.sum(axis=0)
    mean = total / total.sum()
    apart = ((counts - counts.sum(axis=1, keepdims=True) * mean) ** 2).sum(axis=0) / total.sum() ** 2
    variance = apart * len(counts) / (len(counts) - 1)
    return float(_over(variance, (mean + share) / 2)) * len(counts)


def noise(scatter: float, blocks: int, reference_blocks: int, where: Bins, counts: Array) -> float | None:
    """The distance that chance alone gives between that many blocks of the window and the reference.

    Near equality the divergence is the sum of squared differences over 8 times the mean share, and its
    expectation that of the variances: of the window's blocks, of the reference's, taken to scatter alike,
    and of the sketch's rounding. Blocks are taken to be independent.
    """
    if blocks < 1 or counts.sum() <= 0:
        return None
    mean = (counts / counts.sum() + where.share) / 2
    variances = scatter / blocks + scatter / max(1, reference_blocks) + _over(where.rounding, mean)
    return math.sqrt(min(1.0, variances / (8 * math.log(2))))


def _over(variance: Array, mean: Array) -> float:
    return float(np.divide(variance, mean, out=np.zeros_like(variance), where=mean > 0).sum())
