"""Run expectations on one batch with Great Expectations, and put the outcome in our own words.

Fail closed: no expectations is an error, and an expectation that cannot be evaluated has failed critically.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import great_expectations as gx
import pandas as pd
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
from great_expectations.core.batch_definition import BatchDefinition
from great_expectations.expectations import ExpectTableRowCountToBeBetween
from great_expectations.expectations.expectation import Expectation

from mainline.errors import ConfigError
from mainline.records import Check
from mainline.schema import Column
from pipeline.validation import checks, suites

EXACT = 2**53  # integers up to here survive as floats, which is how pandas holds them beside nulls
NANOSECONDS = (datetime(1678, 1, 1), datetime(2262, 1, 1))  # what pandas' fast type can hold
FLOATS, TIMES = pl.selectors.float(), pl.selectors.date() | pl.selectors.datetime()


@dataclass(frozen=True, slots=True)
class Outcome:
    """`failures` in the order of the suite; `result` is Great Expectations' own, safe to render."""

    checks: int
    failures: list[Check]
    result: ExpectationSuiteValidationResult


def run(
    name: str,
    frame: pl.DataFrame,
    declared: Sequence[Column],
    expectations: Sequence[Expectation],
    *,
    key: Sequence[str],
    sample_rows: int,
) -> Outcome:
    """Hold a batch against its expectations.

    Expectations on a column that is missing or of another type are left out: that failure is already named.
    Raises ConfigError for an empty suite.
    """
    if not expectations:
        raise ConfigError(
            f"the suite of {name} is empty, and would pass anything",
            remedy="return expectations from src/usecase/expectations.py, or declare columns in the schema",
        )
    exact = suites.exact(frame, declared)
    broken = {column.name for column in declared} - {
        result.expectation_config.kwargs["column"] for result in exact[1:] if result.success
    }
    usable = [each for each in expectations if not broken & checks.columns(each.configuration.kwargs)]
    if frame.is_empty():  # row-wise expectations hold on nothing
        usable = [each for each in usable if isinstance(each, ExpectTableRowCountToBeBetween)]
    results = [*exact, *_evaluate(name, frame, usable, sample_rows)]
    failures = [checks.failure(each, frame, key, sample_rows) for each in results if not each.success]
    for each in results:
        checks.make_safe(each, frame)
    return Outcome(len(results), failures, _whole(name, results, len(failures)))


def _whole(
    name: str, results: list[ExpectationValidationResult], failures: int
) -> ExpectationSuiteValidationResult:
    """All results as one, as Great Expectations' renderers want it."""
    statistics = {
        "evaluated_expectations": len(results),
        "successful_expectations": len(results) - failures,
        "unsuccessful_expectations": failures,
        "success_percent": 100 * (1 - failures / len(results)),
    }
    return ExpectationSuiteValidationResult(
        success=not failures, results=results, suite_name=name, statistics=statistics
    )


def _evaluate(
    name: str, frame: pl.DataFrame, expectations: Sequence[Expectation], sample_rows: int
) -> list[ExpectationValidationResult]:
    """Counts and samples take twice the time, so only the failures are evaluated again with them."""
    batch = _definition().get_batch(batch_parameters={"dataframe": _to_pandas(frame)})

    def results(ids: Sequence[int], shown: dict[str, Any]) -> dict[int, ExpectationValidationResult]:
        if not ids:
            return {}
        chosen = [expectations[index].copy(update={"meta": {"index": index}}) for index in ids]
        suite = gx.ExpectationSuite(name, expectations=chosen)
        found = batch.validate(suite, result_format=shown).results
        return {result.expectation_config.meta["index"]: result for result in found}

    everything = results(range(len(expectations)), {"result_format": "BOOLEAN_ONLY"})
    failed = [index for index, result in sorted(everything.items()) if not result.success]
    detailed = {"result_format": "SUMMARY", "partial_unexpected_count": sample_rows}
    return [result for _, result in sorted((everything | results(failed, detailed)).items())]


@cache
def _definition() -> BatchDefinition:
    """One context in memory for the whole process."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("mainline").add_dataframe_asset("batch")
    return asset.add_batch_definition_whole_dataframe("whole")


def _to_pandas(frame: pl.DataFrame) -> pd.DataFrame:
    """Types by which Great Expectations compares whole columns (others: row by row), where nothing is lost.

    Pandas takes NaN for null; as infinity it stays what it is, a broken number.
    """
    low, high = (pl.lit(limit) for limit in NANOSECONDS)
    timed = frame.with_columns(TIMES.cast(pl.Datetime("us")))
    fits = timed.select(TIMES.is_between(low, high).all())
    fast = [name for name in fits.columns if fits[name].item()]
    small = frame.select(pl.selectors.integer().is_between(-EXACT, EXACT).all())
    whole = {} if all(column.item() for column in small) else {pa.int64(): pd.Int64Dtype()}
    ready = timed.with_columns(FLOATS.fill_nan(float("inf")), pl.col(fast).cast(pl.Datetime("ns")))
    return ready.to_arrow().to_pandas(types_mapper={**whole, pa.bool_(): pd.BooleanDtype()}.get)
