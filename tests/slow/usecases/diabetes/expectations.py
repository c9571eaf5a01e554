"""Little is known of these patients; the schema says most of it."""

from collections.abc import Sequence

import great_expectations.expectations as gxe
import polars as pl
from great_expectations.expectations.expectation import Expectation

from mainline.settings import Month


def raw(table: str, month: Month, earlier: Sequence[pl.LazyFrame]) -> list[Expectation]:
    return [gxe.ExpectTableRowCountToBeBetween(min_value=10, severity="critical")]


def features(window: str) -> list[Expectation]:
    return [
        gxe.ExpectColumnMeanToBeBetween(column="progression", min_value=50, max_value=300, severity="warning")
    ]
