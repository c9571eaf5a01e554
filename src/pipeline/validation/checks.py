"""A result of Great Expectations in our own words: deterministic, and safe to print anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import polars as pl
from great_expectations.core import ExpectationValidationResult

from mainline.records import Check
from pipeline.text import inert
from pipeline.validation.suites import LARGEST

NAMING = ("column", "column_A", "column_B", "column_list")  # arguments that name columns
HIDDEN = ("batch_id", "column", "exact_match")


def columns(kwargs: dict[str, Any]) -> set[str]:
    """Every column an expectation touches, those of its row condition included."""
    found: set[str] = set()
    for argument in NAMING:
        value = kwargs.get(argument) or []
        found |= {value} if isinstance(value, str) else set(value)
    condition = kwargs.get("row_condition")
    return found | _condition_columns(condition if isinstance(condition, dict | None) else condition.dict())


def _condition_columns(condition: Any) -> set[str]:
    if isinstance(condition, dict):
        own = condition.get("column")
        named = {own["name"]} if isinstance(own, dict) and "name" in own else set()
        return named.union(*(_condition_columns(value) for value in condition.values()))
    if isinstance(condition, list):
        return set().union(*(_condition_columns(value) for value in condition))
    return set()


def failure(
    result: ExpectationValidationResult, frame: pl.DataFrame, key: Sequence[str], sample_rows: int
) -> Check:
    """One failure as a record: deterministic, and safe to print anywhere."""
    config = result.expectation_config
    crash = _crash(result)
    details = result.result or {}
    rows = sorted(details.get("partial_unexpected_index_list") or [])[:sample_rows]
    shown = [*key, *sorted(columns(config.kwargs) - set(key))]
    column = config.kwargs.get("column")
    return Check(
        expectation=config.type,
        column=None if column is None else inert(column),
        expected=inert(_arguments(config.kwargs), 200),
        severity="critical" if crash or config.severity == "critical" else "warning",
        success=False,
        observed=inert(crash or _observed(details), 400),
        unexpected=int(details.get("unexpected_count") or 0),
        sample=_sample(frame, rows, [name for name in shown if name in frame.columns]),
    )


def _arguments(kwargs: dict[str, Any]) -> str:
    """What was expected, e.g. `max_value=3000, min_value=-120`."""
    shown = [name for name in sorted(kwargs) if name not in HIDDEN and kwargs[name] is not None]
    return ", ".join(f"{name}={_argument(kwargs[name])}" for name in shown)


def _argument(value: Any) -> str:
    if isinstance(value, list | tuple | set):
        return " ".join(map(str, value))
    return "finite" if value in (-LARGEST, LARGEST) else str(value)


def _crash(result: ExpectationValidationResult) -> str:
    """Why an expectation could not be evaluated; empty when it could."""
    info = result.exception_info or {}
    parts = [info] if "raised_exception" in info else list(info.values())
    for part in parts:
        if part.get("raised_exception"):
            return "cannot be evaluated: " + str(part.get("exception_message")).splitlines()[0]
    return ""


def _observed(details: dict[str, Any]) -> str:
    if "unexpected_count" in details:
        count, total = details["unexpected_count"], details["element_count"]
        total -= details.get("missing_count") or 0
        return f"{count:,} of {total:,} rows ({_percent(count, total)} %)"
    mismatch = (details.get("details") or {}).get("mismatched")
    if mismatch:
        return "; ".join(f"{word}: {', '.join(names)}" for word, names in mismatch.items() if names)
    value = _plain(details.get("observed_value"))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _percent(count: int, total: int) -> str:
    """Of some rows never 0, and of some but not all never 100."""
    share = 100 * count / total if total else 0.0
    if share >= 10:
        return "100" if count == total else f"{min(share, 99.9):.1f}"
    return f"{share:.2g}" if share >= 0.01 or not count else "below 0.01"


def _sample(frame: pl.DataFrame, rows: list[int], names: list[str]) -> list[dict[str, str]]:
    picked = frame.select(names)[rows].to_dicts() if rows else []
    return [{inert(name): _text(value) for name, value in row.items()} for row in picked]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return f'"{inert(value)}"'  # quoted: not a formula, not a mention, not null
    return "null" if value is None else str(value)


def make_safe(result: ExpectationValidationResult, frame: pl.DataFrame) -> None:
    """Great Expectations prints observed values into its pages as they are, markup included.

    The share of nulls is added where it passed; its page shows it.
    """
    if result.success and result.expectation_config.type == "expect_column_values_to_not_be_null":
        nulls = frame[result.expectation_config.kwargs["column"]].null_count()
        result.result = {"unexpected_percent": 100 * nulls / frame.height}
    result.result = {name: _plain(value) for name, value in (result.result or {}).items()}
    result.expectation_config.kwargs.pop("batch_id", None)
    result.expectation_config.meta = {}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {inert(str(name)): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(part) for part in value]
    if value is pd.NA or value is pd.NaT:
        return None
    if hasattr(value, "item"):
        return value.item()
    return value if isinstance(value, int | float | bool | None) else inert(str(value))
