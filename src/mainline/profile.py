"""`reports/profile.json`: what the data looks like, in a few kilobytes that Git keeps.

With one at every commit, two revisions' data can be compared without pulling any.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mainline.records import Part, Record

QUANTILES = 101  # points of the sketch: the minimum, every hundredth, the maximum
CATEGORIES = 40  # most frequent values that are named; the rest is OTHER
OTHER = "(other)"


class ColumnProfile(Part):
    """One column. `nulls`: share of the rows. Of the values that are there:

    numbers, dates and times: `quantiles` (QUANTILES of them; dates and times as seconds since 1970), empty
    without values. Strings and booleans: `shares` of the most frequent ones, by value made safe to print.
    """

    dtype: str
    nulls: float
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
