"""Pure: what breaks in production, as changes of rows, so that a fault can be replayed and its day of
detection be measured.

Each takes rows with the use case's columns and returns them with the fault in those from `since` on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import polars as pl

from mainline.errors import ConfigError
from mainline.schema import FeatureTable
from usecase.schema import FEATURES

KINDS = ("stuck", "unit", "category", "null", "flip")
FAHRENHEIT = (5 / 9, -160 / 9)  # to °C: the most common change of a unit here
NEWCOMER = "XXX"


@dataclass(frozen=True, slots=True)
class Fault:
    """`kind` of KINDS in `column` (not for flip), from the day `since` on (None: always), in `share` of rows.

    `value`: of stuck (None: the first one seen) and category. `scale`, `offset`: of unit.
    """

    kind: str
    column: str | None = None
    since: date | None = None
    share: float = 1.0
    value: float | str | None = None
    scale: float = FAHRENHEIT[0]
    offset: float = FAHRENHEIT[1]

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.column}" if self.column else self.kind


def parse(text: str, since: date | None = None, table: FeatureTable = FEATURES) -> Fault:
    """A fault as a person writes it: `stuck:temp`, `null:seats:0.5`, `unit:temp`, `category:origin`, `flip`.

    `airport` is a new value in the first categorical column with a closed set. Raises ConfigError.
    """
    kind, _, rest = text.partition(":")
    column, _, share = rest.partition(":")
    if kind == "airport":
        closed = [one.name for one in table.categorical if one.values]
        kind, column, share = "category", closed[0] if closed else "", share or "0.2"
    names = [one.name for one in table.features]
    if kind not in KINDS or (kind != "flip" and column not in names):
        raise ConfigError(
            f"{text!r} is no fault",
            remedy=f"write KIND:FEATURE[:SHARE], KIND one of {', '.join(KINDS)}; or airport",
        )
    try:
        part = float(share) if share else {"category": 0.2, "null": 0.9}.get(kind, 1.0)
    except ValueError:
        part = -1
    if not 0 < part <= 1:
        raise ConfigError(f"{text!r}: the share is not in (0, 1]", remedy="for example null:seats:0.5")
    return Fault(kind, column or None, since, part, NEWCOMER if kind == "category" else None)


def apply(rows: pl.DataFrame, fault: Fault, table: FeatureTable = FEATURES) -> pl.DataFrame:
    """The rows with the fault; the same rows get the same."""
    if not rows.height:
        return rows
    hit = _hit(fault, table)
    name = table.target.name if fault.kind == "flip" else str(fault.column)
    dtype = rows.schema[name]
    changed = _CHANGES[fault.kind](pl.col(name), fault, table)
    if fault.kind == "unit" and dtype.is_integer():
        changed = changed.round()
    return rows.with_columns(pl.when(hit).then(changed.cast(dtype)).otherwise(pl.col(name)).alias(name))


def _hit(fault: Fault, table: FeatureTable) -> pl.Expr:
    """Which rows: chosen by their key, so that no order and no chunk changes them."""
    lot = pl.col(table.key.name).cast(pl.String).hash(seed=7) % 10_000
    chosen = lot < round(fault.share * 10_000)
    if fault.since is None:
        return chosen
    return chosen & (pl.col(table.time.name).cast(pl.Date) >= fault.since)


def _stuck(column: pl.Expr, fault: Fault, _table: FeatureTable) -> pl.Expr:
    return column.drop_nulls().first() if fault.value is None else pl.lit(fault.value)


def _unit(column: pl.Expr, fault: Fault, _table: FeatureTable) -> pl.Expr:
    return column.cast(pl.Float64) * fault.scale + fault.offset


def _category(_column: pl.Expr, fault: Fault, _table: FeatureTable) -> pl.Expr:
    return pl.lit(fault.value or NEWCOMER)


def _null(_column: pl.Expr, _fault: Fault, _table: FeatureTable) -> pl.Expr:
    return pl.lit(None)


def _flip(column: pl.Expr, _fault: Fault, table: FeatureTable) -> pl.Expr:
    """Binary: the other class. Several classes: the next one. A value: its sign."""
    match table.task:
        case "binary":
            return 1 - column
        case "multiclass":
            following = [*table.classes[1:], table.classes[0]]
            return column.replace_strict(table.classes, following)
        case _:
            return -column


_CHANGES: dict[str, Callable[[pl.Expr, Fault, FeatureTable], pl.Expr]] = {
    "stuck": _stuck,
    "unit": _unit,
    "category": _category,
    "null": _null,
    "flip": _flip,
}
