"""Pure: how the data of two commits differs, from the profiles that Git keeps of both; no data is pulled.

A shift is the least share of the rows that must have moved to turn one column into the other: 0 when the
sketches agree, 1 when nothing is left where it was. Among numbers it is the largest difference of the
cumulative distributions (Kolmogorov-Smirnov distance), among categories half the sum of the absolute
differences of the shares (total variation). Sketches have a hundred steps: below SHIFT a number says nothing.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from mainline.profile import OTHER, ColumnProfile, Profile, TableProfile

SHIFT = 0.02  # smallest shift that is shown, twice the sketch's step
FEWEST = 100  # values of which a sketch of as many steps is one; fewer are "too few", never "not moved"
NULLS = 0.001  # smallest change of a share of nulls that is shown
TIMES = ("date", "datetime")  # they move with every month; rows by month say it better


@dataclass(frozen=True, slots=True)
class Split:
    """Where two distributions of numbers differ most: the share of the rows at most (or below) `at`."""

    at: float
    inclusive: bool
    before: float
    after: float
    medians: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Value:
    """One category's share; None where the sketch names it on one side only, and it may be in the rest."""

    name: str
    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True)
class Mover:
    """A column whose distribution moved: `split` of numbers, or up to three `values` that moved most."""

    column: str
    shift: float
    split: Split | None = None
    values: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Nulls:
    """Shares of the rows: without a value, or (`infinite`) with an infinite one."""

    column: str
    before: float
    after: float
    infinite: bool = False


@dataclass(frozen=True, slots=True)
class TableDiff:
    """One table. `months`: rows before and after where they differ, None where the month is not there.

    `too_few`: columns with too few values on either side to say whether their distribution moved.
    """

    name: str
    rows: tuple[int | None, int | None]
    months: dict[str, tuple[int | None, int | None]]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: dict[str, tuple[str, str]] | None = None
    nulls: tuple[Nulls, ...] = ()
    movers: tuple[Mover, ...] = ()
    too_few: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether there is anything to say of this table."""
        parts = (self.months, self.added, self.removed, self.retyped, self.nulls, self.movers)
        return self.rows[0] != self.rows[1] or any(parts)


def diff(before: Profile, after: Profile) -> list[TableDiff]:
    """One entry a table of either side, in the order of `after`; `changed` says whether it differs."""
    names = [*after.tables, *(name for name in before.tables if name not in after.tables)]
    return [_table(name, before.tables.get(name), after.tables.get(name)) for name in names]


def _table(name: str, before: TableProfile | None, after: TableProfile | None) -> TableDiff:
    old, new = before or _NOTHING, after or _NOTHING
    months = {
        month: (old.months.get(month), new.months.get(month))
        for month in sorted({*old.months, *new.months})
        if old.months.get(month) != new.months.get(month)
    }
    rows = (_rows(before), _rows(after))
    if before is None or after is None:
        return TableDiff(name, rows, months)
    both = {
        column: (old.columns[column], new.columns[column]) for column in new.columns if column in old.columns
    }
    timeless = {
        column: pair
        for column, pair in both.items()
        if pair[0].dtype not in TIMES and not _names_months(pair, {*old.months, *new.months})
    }
    few = {column for column, (a, b) in timeless.items() if _few(_values(a, rows[0]), _values(b, rows[1]))}
    return TableDiff(
        name,
        rows,
        months,
        added=tuple(column for column in new.columns if column not in old.columns),
        removed=tuple(column for column in old.columns if column not in new.columns),
        retyped={name: (a.dtype, b.dtype) for name, (a, b) in both.items() if a.dtype != b.dtype},
        nulls=_nulls(both),
        movers=_movers(timeless, few),
        too_few=tuple(name for name in both if name in few),
    )


def _names_months(pair: tuple[ColumnProfile, ColumnProfile], months: Set[str]) -> bool:
    """A column that only says in which month a row is moves with every month, as times do."""
    values = {*pair[0].shares, *pair[1].shares}
    return bool(values) and values <= months


_NOTHING = TableProfile(months={}, columns={})


def _rows(table: TableProfile | None) -> int | None:
    return None if table is None else sum(table.months.values())


def _values(column: ColumnProfile, rows: int | None) -> float:
    return (rows or 0) * (1 - column.nulls - column.infinite)


def _few(before: float, after: float) -> bool:
    """A column that is empty on both sides has nothing to compare, and nothing is missed."""
    return min(before, after) < FEWEST and max(before, after) > 0


def _nulls(columns: Mapping[str, tuple[ColumnProfile, ColumnProfile]]) -> tuple[Nulls, ...]:
    pairs = [
        *(Nulls(name, a.nulls, b.nulls) for name, (a, b) in columns.items()),
        *(Nulls(name, a.infinite, b.infinite, infinite=True) for name, (a, b) in columns.items()),
    ]
    # A first null is news however few there are: the column had never been without a value.
    found = [p for p in pairs if abs(p.after - p.before) >= NULLS or (p.before == 0) != (p.after == 0)]
    return tuple(sorted(found, key=lambda p: (-abs(p.after - p.before), p.column)))


def _movers(columns: Mapping[str, tuple[ColumnProfile, ColumnProfile]], few: Set[str]) -> tuple[Mover, ...]:
    found = [
        mover
        for name, (before, after) in columns.items()
        if name not in few
        and before.dtype == after.dtype
        and (mover := compare(name, before, after))
        and mover.shift >= SHIFT
    ]
    return tuple(sorted(found, key=lambda mover: (-mover.shift, mover.column)))


def compare(name: str, before: ColumnProfile, after: ColumnProfile) -> Mover | None:
    """The shift of one column; None for times, and where a side has no sketch (keys, no values)."""
    if before.dtype in TIMES:
        return None
    if before.quantiles and after.quantiles:
        split = widest(before.quantiles, after.quantiles)
        return Mover(name, abs(split.after - split.before), split=split)
    if before.shares and after.shares:
        values = [Value(v, *shares) for v, shares in _aligned(before.shares, after.shares).items()]
        most = sorted((v for v in values if v.name != OTHER), key=lambda v: (-_moved(v), v.name))
        shown = tuple(value for value in most[:3] if _moved(value) > 0)
        return Mover(name, variation(before.shares, after.shares), values=shown)
    return None


def widest(before: Sequence[float], after: Sequence[float]) -> Split:
    """Where two sketched distributions of numbers differ most; the difference there is their distance."""
    medians = (before[len(before) // 2], after[len(after) // 2])
    splits = []
    for at in sorted({*before, *after}):
        for inclusive in (False, True):
            shares = [cumulative(side, at, inclusive=inclusive) for side in (before, after)]
            splits.append(Split(at, inclusive, shares[0], shares[1], medians))
    return max(splits, key=lambda split: abs(split.after - split.before))


def cumulative(quantiles: Sequence[float], at: float, *, inclusive: bool) -> float:
    """The share of the rows below `at`, or at most `at`.

    A value that several quantiles share is a step; between two different quantiles the line is straight.
    """
    last = max(1, len(quantiles) - 1)
    above = bisect_right(quantiles, at) if inclusive else bisect_left(quantiles, at)
    if above == 0:
        return 0.0
    if above == len(quantiles):
        return 1.0
    low, high = quantiles[above - 1], quantiles[above]
    return (above - 1 + _between(low, at, high)) / last


def _between(low: float, at: float, high: float) -> float:
    """How far `at` is from `low` (0) to `high` (1); the whole range of float may lie between them."""
    if math.isinf(high - low):
        low, at, high = low / 2, at / 2, high / 2
    return (at - low) / (high - low)


def variation(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """Half the sum of the absolute differences. What a sketch may hide in OTHER is taken as not moved."""
    aligned = _aligned(before, after, hidden=True)
    return min(1.0, sum(abs((b or 0) - (a or 0)) for a, b in aligned.values()) / 2)


def _aligned(
    before: Mapping[str, float], after: Mapping[str, float], *, hidden: bool = False
) -> dict[str, tuple[float | None, float | None]]:
    """Both shares of every named value, and of what is left. A side without OTHER names all it has.

    `hidden`: give an unnamed value the share nearest to the other side's that it can have had.
    """
    names = sorted({*before, *after} - {OTHER})
    sides = [_filled(names, before, after, hidden), _filled(names, after, before, hidden)]
    return {name: (sides[0][name], sides[1][name]) for name in (*names, OTHER)}


def _filled(
    names: Sequence[str], own: Mapping[str, float], other: Mapping[str, float], hidden: bool
) -> dict[str, float | None]:
    rest = own.get(OTHER, 0.0)
    least = min((share for name, share in own.items() if name != OTHER), default=rest)
    found: dict[str, float | None] = {}
    for name in names:
        if name in own:
            found[name] = own[name]
        elif OTHER not in own:
            found[name] = 0.0
        elif hidden:
            found[name] = taken = min(other[name], least, rest)
            rest -= taken
        else:
            found[name] = None
    return {**found, OTHER: rest}


def _moved(value: Value) -> float:
    return abs((value.after or 0) - (value.before or 0))
