"""What is validated: months of raw tables, and windows of the modelling table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from mainline.errors import ConfigError, DataError
from mainline.schema import Column, Table
from mainline.settings import Month
from pipeline import paths
from pipeline.params import Data
from pipeline.windows import Window, split
from usecase.schema import FEATURES

HISTORY = 12  # months before, with which a month is compared

Suite = Callable[[Sequence[Path]], list[Any]]


@dataclass(frozen=True, slots=True)
class Subject:
    """A batch to validate.

    `earlier` are the files it may be compared with; `suite` makes its expectations from those of them that
    were good. `basis` is what the outcome depends on besides bytes and code.
    """

    table: str
    month: str | None
    path: Path
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    basis: tuple[str, ...]
    earlier: tuple[Path, ...]
    suite: Suite


def raw(tables: Sequence[Table], last: Month) -> list[Subject]:
    """Every month of every raw table, oldest first. Raises DataError when a table lacks the `last` month."""
    found = []
    for table in tables:
        files = sorted((paths.RAW / table.name).glob("month=*.parquet"))
        months = [Month.parse(path.stem.removeprefix("month="), name=str(path)) for path in files]
        if last not in months:
            raise DataError(f"the raw table {table.name} has no month {last}", remedy="run ingest: make run")
        for index, month in enumerate(months):
            found.append(_month(table, month, files[index], tuple(files[max(0, index - HISTORY) : index])))
    return found


def _month(table: Table, month: Month, path: Path, earlier: tuple[Path, ...]) -> Subject:
    def suite(good: Sequence[Path]) -> list[Any]:
        from pipeline.validation import suites  # Great Expectations takes seconds to import
        from usecase import expectations

        history = [pl.scan_parquet(file, glob=False, hive_partitioning=False) for file in good]
        own = expectations.raw(table.name, month, history)
        return [*suites.raw(table, month), *_some(own, f"{table.name} {month}")]

    basis = (table.name, str(month))
    return Subject(table.name, str(month), path, table.columns, table.key, basis, earlier, suite)


def features(data: Data) -> list[Subject]:
    """The train, validation and test windows."""
    return [_window(name, window) for name, window in split(data).items()]


def _window(name: str, window: Window) -> Subject:
    declared = tuple(column for column in FEATURES.columns if column != FEATURES.excluded)
    last = window.last.plus(1).first_day - timedelta(days=1)

    def suite(_good: Sequence[Path]) -> list[Any]:
        from pipeline.validation import suites  # Great Expectations takes seconds to import
        from usecase import expectations

        derived = suites.features(FEATURES, declared, window.first.first_day, last, fitted=name == "train")
        return [*derived, *_some(expectations.features(name), f"features/{name}")]

    basis = (name, str(window.first), str(window.last))
    path = paths.FEATURES / f"{name}.parquet"
    return Subject(f"features/{name}", None, path, declared, (FEATURES.key.name,), basis, (), suite)


def _some(own: Sequence[Any], name: str) -> Sequence[Any]:
    """What the schema gives must not hide that the use case itself expects nothing. Raises ConfigError."""
    if not own:
        raise ConfigError(
            f"the use case has no expectations of {name}",
            why="src/usecase/expectations.py returned an empty list",
            remedy="return at least one, e.g. the number of rows",
        )
    return own
