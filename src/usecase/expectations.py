"""What is expected of flights, weather and features beyond their schema.

Columns, types, nulls, ranges, sets, the unique key and the month follow from the schema; here stands what
only this use case knows. Critical stops the pipeline, a warning is reported.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read at import; nothing leaves this machine
import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.row_conditions import Column

from mainline.settings import Month

CRITICAL, WARNING = "critical", "warning"


def raw(table: str, month: Month, earlier: Sequence[pl.LazyFrame]) -> list[Expectation]:
    """Of one month of a raw table; `earlier` are the months before it, oldest first."""
    rows = [month.select(pl.len()).collect().item() for month in earlier]
    return [
        *(_flights(month, earlier) if table == "flights" else _weather(month)),
        *_row_count(sorted(rows)),
    ]


def _flights(month: Month, earlier: Sequence[pl.LazyFrame]) -> list[Expectation]:
    days = (month.plus(1).first_day - month.first_day).days
    cancelled = Column("dep_delay").is_null()
    not_arrived, arrived = Column("arr_delay").is_null(), Column("arr_delay").is_not_null()
    return [
        # freshness: the whole month, and no flight from another one
        days_present("day", days, CRITICAL),
        scheduled_within("scheduled", month, CRITICAL),
        # names that can be trusted as names
        matches("flight_key", r"^\d{4}-\d{2}-\d{2}_\d{4}_[A-Z]{3}_[A-Z0-9]{2}\d{1,4}\Z", CRITICAL),
        matches("carrier", r"^[A-Z0-9]{2}\Z", CRITICAL),
        matches("dest", r"^[A-Z]{3}\Z", CRITICAL),
        matches("tailnum", r"^[A-Z0-9]{3,6}\Z", WARNING),
        # references: airline, airport and aircraft tables
        present("carrier_name", 1, CRITICAL),
        present("dest_name", 0.97, WARNING),
        present("plane_model", 0.75, WARNING),
        # new categories
        *seen_before("carrier", earlier, 0.99, WARNING),
        *seen_before("dest", earlier, 0.99, WARNING),
        # null shares: how many fly, arrive and are known
        present("tailnum", 0.95, WARNING),
        present("duration", 0.95, WARNING),
        present("plane_year", 0.7, WARNING),
        present("seats", 0.75, WARNING),
        present("dep_delay", 0.9, WARNING),
        present("arr_delay", 0.9, WARNING),
        present("arr_delay", 0.5, CRITICAL),
        # one flight's columns tell one story
        gxe.ExpectColumnValuesToBeNull(column="arr_delay", row_condition=cancelled, severity=CRITICAL),
        gxe.ExpectColumnValuesToBeNull(column="air_time", row_condition=not_arrived, severity=CRITICAL),
        gxe.ExpectColumnValuesToNotBeNull(column="air_time", row_condition=arrived, severity=CRITICAL),
        # plausible as a whole: minutes of delay in the middle of the distribution
        gxe.ExpectColumnMedianToBeBetween(column="arr_delay", min_value=-30, max_value=30, severity=WARNING),
        between("arr_delay", -90, 1440, WARNING),
    ]


def _weather(month: Month) -> list[Expectation]:
    days = (month.plus(1).first_day - month.first_day).days
    return [
        days_present("day", days, CRITICAL),
        scheduled_within("observed", month, CRITICAL),
        between("wind_speed", 0, 120, WARNING),  # mph; a broken anemometer told 1048 in February 2013
        between("wind_gust", 0, 150, WARNING),
        *(
            present(name, 0.98, WARNING)
            for name in ("temp", "dewp", "humid", "wind_speed", "precip", "visib")
        ),
        present("wind_dir", 0.9, WARNING),
        present("pressure", 0.75, WARNING),
        present("temp", 0.5, CRITICAL),
    ]


def features(window: str) -> list[Expectation]:
    """Of `train`, `validation` or `test`, beyond the modelling table's schema."""
    least = 1_000 if window == "train" else 300
    return [
        gxe.ExpectTableRowCountToBeBetween(min_value=least, severity=CRITICAL),
        # of the flights that arrived, 0.132 (September) to 0.326 (December) were late in a month of 2013
        gxe.ExpectColumnMeanToBeBetween(column="late", min_value=0.05, max_value=0.5, severity=WARNING),
    ]


def _row_count(earlier: list[int]) -> list[Expectation]:
    """Against the median of the months before; the first month has none."""
    if not earlier:
        return []
    usual = earlier[len(earlier) // 2]
    count = gxe.ExpectTableRowCountToBeBetween
    return [
        count(min_value=usual // 2, max_value=usual * 2, severity=CRITICAL),
        count(min_value=usual * 4 // 5, max_value=usual * 5 // 4, severity=WARNING),
    ]


def present(column: str, share: float, severity: str) -> Expectation:
    return gxe.ExpectColumnValuesToNotBeNull(column=column, mostly=share, severity=severity)


def between(column: str, low: float, high: float, severity: str) -> Expectation:
    return gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high, severity=severity)


def matches(column: str, regex: str, severity: str) -> Expectation:
    return gxe.ExpectColumnValuesToMatchRegex(column=column, regex=regex, severity=severity)


def days_present(column: str, days: int, severity: str) -> Expectation:
    """Every day of the month has a row, the last one too: the batch is whole."""
    return gxe.ExpectColumnUniqueValueCountToBeBetween(
        column=column, min_value=days, max_value=days, severity=severity
    )


def scheduled_within(column: str, month: Month, severity: str) -> Expectation:
    """UTC runs four or five hours ahead of New York: the month may end that much later, and no more."""
    ahead = timedelta(hours=5)
    low = datetime.fromisoformat(f"{month}-01")
    high = datetime.fromisoformat(f"{month.plus(1)}-01") + ahead
    return gxe.ExpectColumnValuesToBeBetween(
        column=column, min_value=low, max_value=high, strict_max=True, severity=severity
    )


def seen_before(
    column: str, earlier: Sequence[pl.LazyFrame], share: float, severity: str
) -> list[Expectation]:
    """Nearly all rows have a value that an earlier month had, too; the first month has nothing to compare."""
    if not earlier:
        return []
    known = pl.concat([month.select(column) for month in earlier]).unique().collect()[column]
    return [
        gxe.ExpectColumnValuesToBeInSet(
            column=column, value_set=sorted(known.drop_nulls()), mostly=share, severity=severity
        )
    ]
