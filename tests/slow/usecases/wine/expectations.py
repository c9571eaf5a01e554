"""Little is known of these wines; the schema says most of it."""

from collections.abc import Sequence

import great_expectations.expectations as gxe
import polars as pl
from great_expectations.expectations.expectation import Expectation

from mainline.settings import Month


def raw(table: str, month: Month, earlier: Sequence[pl.LazyFrame]) -> list[Expectation]:
    return [gxe.ExpectTableRowCountToBeBetween(min_value=20, severity="critical")]


def features(window: str) -> list[Expectation]:
    return [
        gxe.ExpectColumnUniqueValueCountToBeBetween(
            column="grower", min_value=3, max_value=3, severity="critical"
        )
    ]
