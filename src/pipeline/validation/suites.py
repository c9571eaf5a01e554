"""Expectations that follow from the schema alone, so that a column is declared once.

Great Expectations 1.24 is lenient, and every derived suite makes up for it: row-wise expectations hold on
zero rows, in-set, unique and range hold on a column of nulls, and without a range infinity is a number.
Pandas knows fewer types than Parquet (an integer with nulls is a float), so `exact` compares names and types
before conversion.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

import polars as pl

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read at import; nothing leaves this machine
import great_expectations.expectations as gxe
from great_expectations.core import ExpectationValidationResult
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

from mainline.schema import Column, FeatureTable, Table
from mainline.settings import Month
from pipeline.frames import DTYPES

LARGEST = sys.float_info.max  # a range up to here holds every float but the infinities


def raw(table: Table, month: Month) -> list[gxe.Expectation]:
    """What the schema says of one month of a raw table: columns, a unique key, rows of that month only."""
    last = month.plus(1).first_day - timedelta(days=1)
    when = next(column for column in table.columns if column.name == table.time)
    return [*columns(table.columns), unique(table.key), *_inside(when, month.first_day, last)]


def features(
    table: FeatureTable, declared: Sequence[Column], first: date, last: date, *, fitted: bool
) -> list[gxe.Expectation]:
    """What the schema says of one window of the modelling table, whose days are `first` to `last`.

    A classification target of one class is critical where the model is `fitted`, and a warning elsewhere:
    there it only leaves figures undefined.
    """
    found = [*columns(declared), unique((table.key.name,)), *_inside(table.time, first, last)]
    target = table.target.name
    if table.task == "binary":
        found.append(gxe.ExpectColumnValuesToBeInSet(column=target, value_set=[0, 1]))
    if table.task == "multiclass":
        found.append(gxe.ExpectColumnValuesToBeInSet(column=target, value_set=list(table.classes)))
    if table.task != "regression":
        severity = "critical" if fitted else "warning"
        found.append(
            gxe.ExpectColumnUniqueValueCountToBeBetween(column=target, min_value=2, severity=severity)
        )
    return found


def columns(declared: Sequence[Column]) -> list[gxe.Expectation]:
    """Rows at all, and for each column its nulls, range and set."""
    found: list[gxe.Expectation] = [gxe.ExpectTableRowCountToBeBetween(min_value=1)]
    for column in declared:
        name = column.name
        if column.nullable:
            some = gxe.ExpectColumnProportionOfNonNullValuesToBeBetween
            found.append(some(column=name, min_value=0, strict_min=True))
        else:
            found.append(gxe.ExpectColumnValuesToNotBeNull(column=name))
        low, high = _range(column)
        if low is not None or high is not None:
            words = f"values must be finite{_limits(column)}" if column.dtype == "float64" else None
            between = gxe.ExpectColumnValuesToBeBetween
            found.append(between(column=name, min_value=low, max_value=high, description=words))
        if column.values:
            found.append(gxe.ExpectColumnValuesToBeInSet(column=name, value_set=list(column.values)))
    return found


def unique(key: Sequence[str]) -> gxe.Expectation:
    """No two rows share their key."""
    if len(key) == 1:
        return gxe.ExpectColumnValuesToBeUnique(column=key[0])
    return gxe.ExpectCompoundColumnsToBeUnique(column_list=list(key))


def _limits(column: Column) -> str:
    low = "" if column.minimum is None else f", at least {column.minimum:g}"
    return low if column.maximum is None else f"{low}, at most {column.maximum:g}"


def _range(column: Column) -> tuple[float | None, float | None]:
    if column.dtype != "float64":
        return column.minimum, column.maximum
    low = -LARGEST if column.minimum is None else column.minimum
    return low, LARGEST if column.maximum is None else column.maximum


def _inside(column: Column, first: date, last: date) -> list[gxe.Expectation]:
    """Both ends included; nothing from another month, and so nothing from the future."""
    if column.dtype not in ("date", "datetime"):
        return []
    after = last + timedelta(days=1)
    low, high = (datetime.combine(day, time.min) for day in (first, after))
    inside = gxe.ExpectColumnValuesToBeBetween
    return [inside(column=column.name, min_value=low, max_value=high, strict_max=True)]


def exact(frame: pl.DataFrame, declared: Sequence[Column]) -> list[ExpectationValidationResult]:
    """Compare column names and Parquet types with the declared ones, in Great Expectations' own terms."""
    names = [column.name for column in declared]
    missing = [name for name in names if name not in frame.columns]
    extra = [name for name in frame.columns if name not in names]
    difference = {"mismatched": {"unexpected": extra, "missing": missing}}
    found = [
        _result(
            "expect_table_columns_to_match_set",
            {"column_set": names, "exact_match": True},
            success=not missing and not extra,
            result={"observed_value": frame.columns, "details": difference},
        )
    ]
    for column in declared:
        if column.name in frame.columns:
            dtype = frame.schema[column.name]
            found.append(
                _result(
                    "expect_column_values_to_be_of_type",
                    {"column": column.name, "type_": str(DTYPES[column.dtype])},
                    success=dtype == DTYPES[column.dtype],
                    result={"observed_value": str(dtype)},
                )
            )
    return found


def _result(
    kind: str, kwargs: dict[str, object], *, success: bool, result: dict[str, object]
) -> ExpectationValidationResult:
    config = ExpectationConfiguration(type=kind, kwargs=kwargs, severity="critical")
    return ExpectationValidationResult(success=success, expectation_config=config, result=result)
