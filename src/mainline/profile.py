"""`reports/profile.json`: what the data looks like, in some kilobytes that Git keeps.

With one at every commit, two revisions' data can be compared without pulling any.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from mainline.records import Part, Record, write_atomically

QUANTILES = 101  # points of the sketch: the minimum, every hundredth, the maximum
CATEGORIES = 200  # most frequent values that are named; the rest is OTHER, in which no shift is seen
OTHER = "(other)"


class ColumnProfile(Part):
    """One column. `nulls`: share of the rows without a value (null or NaN); `infinite`: of those with ±inf.

    Of the finite values: numbers, dates and times have `quantiles` (QUANTILES of them, each a value that
    occurs; dates and times as seconds since 1970), none without values. Strings and booleans have `shares`
    of the most frequent ones, by value made safe to print; none where no value repeats (a key).
    """

    dtype: str
    nulls: float
    infinite: float = 0.0
    quantiles: list[float] = []
    shares: dict[str, float] = {}


class TableProfile(Part):
    """Rows by month (YYYY-MM), and the columns."""

    months: dict[str, int]
    columns: dict[str, ColumnProfile]


class Profile(Record):
    """`tables`: `raw/<table>` for each raw table, and `train`, `validation` and `test` of the features."""

    location = Path("reports/profile.json")
    version: Literal[1] = 1
    tables: dict[str, TableProfile]

    def write(self, path: Path) -> None:
        """One line a column, so that `git diff` names the columns that changed."""
        tables = ",\n".join(f"{_text(name)}: {_table(table)}" for name, table in self.tables.items())
        text = f'{{"version": {self.version},\n"tables": {{\n{tables}\n}}}}\n'
        write_atomically(path, text.encode())


def _table(table: TableProfile) -> str:
    columns = ",\n".join(f"{_text(name)}: {_column(column)}" for name, column in table.columns.items())
    return f'{{"months": {_text(table.months)},\n"columns": {{\n{columns}\n}}}}'


def _column(column: ColumnProfile) -> str:
    content = column.model_dump(exclude_defaults=True)
    content["nulls"] = _short(column.nulls)
    if column.quantiles:
        content["quantiles"] = [_short(value) for value in column.quantiles]
    return _text(content)


def _short(value: float) -> float | int:
    """12.0 as 12: a third of the file is whole numbers."""
    return int(value) if abs(value) < 1e15 and value.is_integer() else value


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
